"""The command line: arguments in, exit code out. One small function per command; `main` alone turns errors into words."""
