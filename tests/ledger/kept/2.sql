PRAGMA application_id = 1650936881;
BEGIN TRANSACTION;
CREATE TABLE attempts (
	id INTEGER NOT NULL, 
	task_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	fingerprint TEXT NOT NULL, 
	client_request_id TEXT NOT NULL, 
	body BLOB NOT NULL, 
	state TEXT NOT NULL, 
	submitted_at TEXT NOT NULL, 
	accepted_at TEXT, 
	ended_at TEXT, 
	api_task_id TEXT, 
	reserved INTEGER, 
	final INTEGER, 
	urls TEXT DEFAULT '[]' NOT NULL, 
	lost INTEGER DEFAULT '0' NOT NULL, 
	fault_code TEXT, 
	fault_message TEXT, 
	fault_request_id TEXT, 
	fault_status INTEGER, 
	price_key TEXT NOT NULL, 
	day TEXT NOT NULL, 
	CONSTRAINT pk_attempts PRIMARY KEY (id), 
	CONSTRAINT uq_attempts_task_id_number UNIQUE (task_id, number), 
	CONSTRAINT ck_attempts_state CHECK (state = 'submitting' OR state = 'accepted' OR state = 'succeeded' OR state = 'failed' OR state = 'refused' OR state = 'in_doubt'), 
	CONSTRAINT ck_attempts_counted CHECK (number >= 1 AND lost >= 0 AND length(body) > 0), 
	CONSTRAINT ck_attempts_named CHECK (client_request_id <> '' AND length(fingerprint) = 64), 
	CONSTRAINT ck_attempts_day CHECK (length(day) = 10), 
	CONSTRAINT ck_attempts_credits CHECK (reserved >= 0 AND final >= 0), 
	CONSTRAINT ck_attempts_reserved_whole CHECK (reserved IS NULL OR typeof(reserved) = 'integer'), 
	CONSTRAINT ck_attempts_final_whole CHECK (final IS NULL OR typeof(final) = 'integer'), 
	CONSTRAINT fk_attempts_task_id FOREIGN KEY(task_id) REFERENCES tasks (id), 
	CONSTRAINT fk_attempts_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT uq_attempts_client_request_id UNIQUE (client_request_id), 
	CONSTRAINT uq_attempts_api_task_id UNIQUE (api_task_id)
);
INSERT INTO "attempts" VALUES(1,1,1,1,'21af17c345aaa256d999841852a5c57d8991aa96482a6edf6309edc80fa34d4f','bg-8781554d5199ec8583110f3a4f72b30df9cc88e3',X'7B22636C69656E745F726571756573745F6964223A2262672D38373831353534643531393965633835383331313066336134663732623330646639636338386533227D','succeeded','2025-11-13T02:13:20.000000Z','2025-11-13T02:13:20.000000Z','2025-11-13T02:13:20.000000Z','task-bg-8781554d5199ec8583110f3a4f72b30df9cc88e3',40,35,'["https://cdn.example/0.mp4","https://cdn.example/1.mp4"]',0,NULL,NULL,NULL,NULL,'kling-2-6/5','2026-11-23');
INSERT INTO "attempts" VALUES(2,2,1,1,'a0d7a341dd35e5f702ff41c506db6586591283bc2068a069f0d8dbe35e2b6c85','bg-763660619ed0099e840d37d650bc6633b7fa9c1c',X'7B22636C69656E745F726571756573745F6964223A2262672D37363336363036313965643030393965383430643337643635306263363633336237666139633163227D','submitting','2025-11-13T02:13:20.000000Z',NULL,NULL,NULL,NULL,NULL,'[]',0,NULL,NULL,NULL,NULL,'kling-2-6/5','2026-11-23');
INSERT INTO "attempts" VALUES(3,3,1,1,'1451e5d478c8d7c29141e323c92d8ee4b085d13deb144622fb1fa0e8cd5c5991','bg-6d4ede126abcbdeb25780e88c6101664a78e7b42',X'7B22636C69656E745F726571756573745F6964223A2262672D36643465646531323661626362646562323537383065383863363130313636346137386537623432227D','failed','2025-11-13T02:13:20.000000Z','2025-11-13T02:13:20.000000Z','2025-11-13T02:13:20.000000Z','task-bg-6d4ede126abcbdeb25780e88c6101664a78e7b42',40,0,'[]',0,'provider_error','no luck','req-1',200,'kling-2-6/5','2026-11-23');
CREATE TABLE controls (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	value FLOAT NOT NULL, 
	asked_at TEXT NOT NULL, 
	taken_at TEXT, 
	CONSTRAINT pk_controls PRIMARY KEY (id), 
	CONSTRAINT ck_controls_kind CHECK (kind IN ('budget', 'drain', 'go', 'pause', 'rate')), 
	CONSTRAINT ck_controls_value CHECK (value >= 0), 
	CONSTRAINT fk_controls_run_id FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	run_id INTEGER, 
	task_id INTEGER, 
	attempt_id INTEGER, 
	event TEXT NOT NULL, 
	moved_from TEXT DEFAULT '' NOT NULL, 
	moved_to TEXT DEFAULT '' NOT NULL, 
	detail TEXT DEFAULT '' NOT NULL, 
	fault_code TEXT, 
	fault_message TEXT, 
	fault_request_id TEXT, 
	fault_status INTEGER, 
	at TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (id), 
	CONSTRAINT ck_events_named CHECK (event <> ''), 
	CONSTRAINT fk_events_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT fk_events_task_id FOREIGN KEY(task_id) REFERENCES tasks (id), 
	CONSTRAINT fk_events_attempt_id FOREIGN KEY(attempt_id) REFERENCES attempts (id)
);
INSERT INTO "events" VALUES(1,1,1,NULL,'submitted','pending','rendering','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(2,1,1,1,'submitted','','submitting','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(3,1,1,1,'accepted','submitting','accepted','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(4,1,1,1,'succeeded','accepted','succeeded','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(5,1,1,NULL,'rendered','rendering','rendered','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(6,1,1,1,'output_saved','','','spring/t0.mp4',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(7,1,1,NULL,'saved','rendered','done','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(8,1,2,NULL,'submitted','pending','rendering','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(9,1,2,2,'submitted','','submitting','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(10,1,3,NULL,'submitted','pending','rendering','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(11,1,3,3,'submitted','','submitting','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(12,1,3,3,'accepted','submitting','accepted','',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(13,1,3,3,'failed','accepted','failed','','provider_error','no luck','req-1',200,'2025-11-13T02:13:20.000000Z');
INSERT INTO "events" VALUES(14,1,3,NULL,'given_up','rendering','failed','provider_error: no luck',NULL,NULL,NULL,NULL,'2025-11-13T02:13:20.000000Z');
CREATE TABLE manifests (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	path TEXT NOT NULL, 
	header TEXT NOT NULL, 
	CONSTRAINT pk_manifests PRIMARY KEY (id), 
	CONSTRAINT ck_manifests_named CHECK (name <> ''), 
	CONSTRAINT uq_manifests_name UNIQUE (name)
);
INSERT INTO "manifests" VALUES(1,'spring','/m/spring.yaml','{"budget":{"per_day":null,"per_run":null,"total":75},"canary":0,"in_flight":null,"retries":2,"stop_after":{"in_a_row":10,"share":0.5}}');
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_meta PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('address','sandbox');
CREATE TABLE migrations (
	number INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	applied_at TEXT NOT NULL, 
	CONSTRAINT pk_migrations PRIMARY KEY (number)
);
INSERT INTO "migrations" VALUES(1,'begin','2026-11-26T07:59:23.132636Z');
INSERT INTO "migrations" VALUES(2,'stops','2026-11-26T07:59:23.132636Z');
CREATE TABLE money (
	id INTEGER NOT NULL, 
	attempt_id INTEGER NOT NULL, 
	manifest_id INTEGER NOT NULL, 
	run_root INTEGER NOT NULL, 
	day TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	credits INTEGER NOT NULL, 
	at TEXT NOT NULL, 
	CONSTRAINT pk_money PRIMARY KEY (id), 
	CONSTRAINT ck_money_kind CHECK (kind = 'hold' OR kind = 'capture' OR kind = 'release' OR kind = 'refund'), 
	CONSTRAINT ck_money_credits CHECK (credits >= 0), 
	CONSTRAINT ck_money_day CHECK (length(day) = 10), 
	CONSTRAINT ck_money_credits_whole CHECK (credits IS NULL OR typeof(credits) = 'integer'), 
	CONSTRAINT fk_money_attempt_id FOREIGN KEY(attempt_id) REFERENCES attempts (id), 
	CONSTRAINT fk_money_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id), 
	CONSTRAINT fk_money_run_root FOREIGN KEY(run_root) REFERENCES runs (id)
);
INSERT INTO "money" VALUES(1,1,1,1,'2026-11-23','hold',40,'2025-11-13T02:13:20.000000Z');
INSERT INTO "money" VALUES(2,1,1,1,'2026-11-23','capture',35,'2025-11-13T02:13:20.000000Z');
INSERT INTO "money" VALUES(3,1,1,1,'2026-11-23','release',5,'2025-11-13T02:13:20.000000Z');
INSERT INTO "money" VALUES(4,2,1,1,'2026-11-23','hold',40,'2025-11-13T02:13:20.000000Z');
INSERT INTO "money" VALUES(5,3,1,1,'2026-11-23','hold',40,'2025-11-13T02:13:20.000000Z');
INSERT INTO "money" VALUES(6,3,1,1,'2026-11-23','release',40,'2025-11-13T02:13:20.000000Z');
CREATE TABLE outputs (
	id INTEGER NOT NULL, 
	attempt_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	nth INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	size INTEGER NOT NULL, 
	mime TEXT NOT NULL, 
	saved_at TEXT NOT NULL, 
	lost_at TEXT, 
	CONSTRAINT pk_outputs PRIMARY KEY (id), 
	CONSTRAINT uq_outputs_attempt_id_nth UNIQUE (attempt_id, nth), 
	CONSTRAINT ck_outputs_complete CHECK (nth >= 0 AND path <> '' AND length(sha256) = 64 AND size > 0), 
	CONSTRAINT fk_outputs_attempt_id FOREIGN KEY(attempt_id) REFERENCES attempts (id), 
	CONSTRAINT fk_outputs_run_id FOREIGN KEY(run_id) REFERENCES runs (id), 
	CONSTRAINT uq_outputs_path UNIQUE (path)
);
INSERT INTO "outputs" VALUES(1,1,1,0,'spring/t0.mp4','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',1000,'video/mp4','2025-11-13T02:13:20.000000Z',NULL);
CREATE TABLE runs (
	id INTEGER NOT NULL, 
	root INTEGER, 
	asked TEXT NOT NULL, 
	started_at TEXT NOT NULL, 
	adopted BOOLEAN DEFAULT 0 NOT NULL, 
	ended_at TEXT, 
	exit_code INTEGER, 
	reason TEXT DEFAULT '' NOT NULL, 
	stops TEXT DEFAULT '[]' NOT NULL, 
	pid INTEGER NOT NULL, 
	host TEXT NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT ck_runs_ended CHECK ((ended_at IS NULL) = (exit_code IS NULL)), 
	CONSTRAINT fk_runs_root FOREIGN KEY(root) REFERENCES runs (id)
);
INSERT INTO "runs" VALUES(1,1,'{"budget":null,"command":"run","cuts":[],"manifests":["spring"],"max_tasks":null,"only":"","plan":"","retry_failed":false,"until":null}','2025-11-13T02:13:20.000000Z',0,NULL,NULL,'','[]',12186,'vm');
CREATE TABLE tasks (
	id INTEGER NOT NULL, 
	manifest_id INTEGER NOT NULL, 
	ident TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	line INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	output TEXT NOT NULL, 
	wanted BOOLEAN NOT NULL, 
	note TEXT DEFAULT '' NOT NULL, 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	failures INTEGER DEFAULT '0' NOT NULL, 
	added_at TEXT NOT NULL, 
	CONSTRAINT pk_tasks PRIMARY KEY (id), 
	CONSTRAINT uq_tasks_manifest_id_ident UNIQUE (manifest_id, ident), 
	CONSTRAINT ck_tasks_state CHECK (state = 'pending' OR state = 'rendering' OR state = 'rendered' OR state = 'done' OR state = 'failed' OR state = 'blocked'), 
	CONSTRAINT ck_tasks_fingerprint CHECK (length(fingerprint) = 64), 
	CONSTRAINT ck_tasks_place CHECK (ident <> '' AND position >= 0), 
	CONSTRAINT ck_tasks_counted CHECK (attempts >= 0 AND failures >= 0 AND failures <= attempts), 
	CONSTRAINT fk_tasks_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id)
);
INSERT INTO "tasks" VALUES(1,1,'t0',0,10,'done','21af17c345aaa256d999841852a5c57d8991aa96482a6edf6309edc80fa34d4f','{"model":"kling-2-6","params":{"duration":"5"},"prompt":"a red shoe 0","references":[{"kind":"image","mime":"image/png","name":"shoe.png","path":"/m/shoe.png","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":9,"url":""}]}','spring/t0',1,'',1,0,'2025-11-13T02:13:20.000000Z');
INSERT INTO "tasks" VALUES(2,1,'t1',1,11,'rendering','a0d7a341dd35e5f702ff41c506db6586591283bc2068a069f0d8dbe35e2b6c85','{"model":"kling-2-6","params":{"duration":"5"},"prompt":"a red shoe 1","references":[{"kind":"image","mime":"image/png","name":"shoe.png","path":"/m/shoe.png","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":9,"url":""}]}','spring/t1',1,'',1,0,'2025-11-13T02:13:20.000000Z');
INSERT INTO "tasks" VALUES(3,1,'t2',2,12,'failed','1451e5d478c8d7c29141e323c92d8ee4b085d13deb144622fb1fa0e8cd5c5991','{"model":"kling-2-6","params":{"duration":"5"},"prompt":"a red shoe 2","references":[{"kind":"image","mime":"image/png","name":"shoe.png","path":"/m/shoe.png","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":9,"url":""}]}','spring/t2',1,'provider_error: no luck',1,1,'2025-11-13T02:13:20.000000Z');
CREATE TABLE uploads (
	sha256 TEXT NOT NULL, 
	url TEXT NOT NULL, 
	file_id TEXT DEFAULT '' NOT NULL, 
	duration_token TEXT DEFAULT '' NOT NULL, 
	uploaded_at TEXT NOT NULL, 
	CONSTRAINT pk_uploads PRIMARY KEY (sha256), 
	CONSTRAINT ck_uploads_complete CHECK (length(sha256) = 64 AND url <> '')
);
CREATE TABLE walks (
	manifest_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	read TEXT NOT NULL, 
	CONSTRAINT pk_walks PRIMARY KEY (manifest_id), 
	CONSTRAINT ck_walks_digest CHECK (length(digest) = 64), 
	CONSTRAINT fk_walks_manifest_id FOREIGN KEY(manifest_id) REFERENCES manifests (id)
);
CREATE INDEX ix_walks_path ON walks (path);
CREATE INDEX ix_tasks_due ON tasks (manifest_id, position) WHERE state = 'pending' AND wanted = 1;
CREATE INDEX ix_tasks_states ON tasks (manifest_id, wanted, state);
CREATE INDEX ix_controls_run_id ON controls (run_id);
CREATE INDEX ix_attempts_failed ON attempts (ended_at) WHERE state = 'failed';
CREATE UNIQUE INDEX uq_attempts_live ON attempts (task_id) WHERE state IN ('accepted', 'in_doubt', 'submitting');
CREATE INDEX ix_attempts_run_id ON attempts (run_id);
CREATE INDEX ix_attempts_prices ON attempts (price_key, id) WHERE reserved > 0 OR state = 'succeeded' AND final > 0;
CREATE UNIQUE INDEX uq_money_closed_once ON money (attempt_id, kind) WHERE kind IN ('capture', 'release');
CREATE INDEX ix_money_attempt ON money (attempt_id, kind, credits);
CREATE INDEX ix_money_day ON money (day, manifest_id, kind, credits);
CREATE INDEX ix_money_manifest ON money (manifest_id, run_root, kind, credits);
CREATE INDEX ix_outputs_run_id ON outputs (run_id);
CREATE INDEX ix_events_attempt_id ON events (attempt_id);
CREATE INDEX ix_events_task ON events (task_id, id);
CREATE TRIGGER guard_attempts_identity BEFORE UPDATE ON attempts FOR EACH ROW WHEN NEW.client_request_id <> OLD.client_request_id OR NEW.body <> OLD.body OR NEW.fingerprint <> OLD.fingerprint OR NEW.number <> OLD.number OR NEW.task_id <> OLD.task_id OR NEW.run_id <> OLD.run_id OR NEW.day <> OLD.day OR (NEW.api_task_id <> OLD.api_task_id AND OLD.state NOT IN ('in_doubt', 'submitting')) BEGIN SELECT RAISE(ABORT, 'an attempt keeps its task, number, key, body and task id'); END;
CREATE TRIGGER guard_attempts_kept BEFORE DELETE ON attempts FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'attempts are never deleted'); END;
CREATE TRIGGER guard_tasks_kept BEFORE DELETE ON tasks FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'tasks are never deleted'); END;
CREATE TRIGGER guard_money_update BEFORE UPDATE ON money FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'money is append-only'); END;
CREATE TRIGGER guard_money_delete BEFORE DELETE ON money FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'money is append-only'); END;
CREATE TRIGGER guard_money_hold BEFORE INSERT ON money FOR EACH ROW WHEN NEW.kind = 'hold' AND EXISTS (SELECT 1 FROM money WHERE attempt_id = NEW.attempt_id AND kind <> 'hold') BEGIN SELECT RAISE(ABORT, 'no hold after a hold was closed'); END;
CREATE TRIGGER guard_money_close BEFORE INSERT ON money FOR EACH ROW WHEN NEW.kind IN ('capture', 'release') AND (SELECT COALESCE(SUM(credits), 0) FROM money WHERE attempt_id = NEW.attempt_id AND kind IN ('capture', 'release')) + NEW.credits > (SELECT COALESCE(SUM(credits), 0) FROM money WHERE attempt_id = NEW.attempt_id AND kind = 'hold') BEGIN SELECT RAISE(ABORT, 'more captured and released than was held'); END;
CREATE TRIGGER guard_money_refund BEFORE INSERT ON money FOR EACH ROW WHEN NEW.kind = 'refund' AND (SELECT COALESCE(SUM(credits), 0) FROM money WHERE attempt_id = NEW.attempt_id AND kind = 'refund') + NEW.credits > (SELECT COALESCE(SUM(credits), 0) FROM money WHERE attempt_id = NEW.attempt_id AND kind = 'capture') BEGIN SELECT RAISE(ABORT, 'more refunded than was captured'); END;
CREATE TRIGGER guard_outputs_rendered BEFORE INSERT ON outputs FOR EACH ROW WHEN NOT EXISTS (SELECT 1 FROM attempts WHERE id = NEW.attempt_id AND state = 'succeeded') BEGIN SELECT RAISE(ABORT, 'only a succeeded attempt has outputs'); END;
CREATE TRIGGER guard_events_update BEFORE UPDATE ON events FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER guard_events_delete BEFORE DELETE ON events FOR EACH ROW WHEN 1 = 1 BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER guard_tasks_logged BEFORE UPDATE OF state ON tasks FOR EACH ROW WHEN NEW.state <> OLD.state AND COALESCE((SELECT moved_from || '>' || moved_to FROM events WHERE task_id = OLD.id AND attempt_id IS NULL AND moved_to <> '' ORDER BY id DESC LIMIT 1), '') <> OLD.state || '>' || NEW.state BEGIN SELECT RAISE(ABORT, 'a task moves only after its event'); END;
CREATE TRIGGER guard_attempts_logged BEFORE UPDATE OF state ON attempts FOR EACH ROW WHEN NEW.state <> OLD.state AND COALESCE((SELECT moved_from || '>' || moved_to FROM events WHERE attempt_id = OLD.id AND  moved_to <> '' ORDER BY id DESC LIMIT 1), '') <> OLD.state || '>' || NEW.state BEGIN SELECT RAISE(ABORT, 'an attempt moves only after its event'); END;
CREATE TRIGGER guard_tasks_moves BEFORE UPDATE OF state ON tasks FOR EACH ROW WHEN NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ('blocked>pending', 'blocked>rendering', 'done>pending', 'done>rendered', 'failed>pending', 'pending>blocked', 'pending>failed', 'pending>rendering', 'rendered>done', 'rendered>pending', 'rendering>blocked', 'rendering>failed', 'rendering>pending', 'rendering>rendered') BEGIN SELECT RAISE(ABORT, 'no such move of a task'); END;
CREATE TRIGGER guard_attempts_moves BEFORE UPDATE OF state ON attempts FOR EACH ROW WHEN NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN ('accepted>failed', 'accepted>in_doubt', 'accepted>succeeded', 'in_doubt>accepted', 'in_doubt>refused', 'in_doubt>submitting', 'submitting>accepted', 'submitting>in_doubt', 'submitting>refused', 'submitting>submitting') BEGIN SELECT RAISE(ABORT, 'no such move of an attempt'); END;
COMMIT;
