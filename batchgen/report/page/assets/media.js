// Renders to look at and to listen to. A file is asked for when its card comes near the screen, and only its first bytes.

const near = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    load(target);
  }
}, { rootMargin: "400px" });

function load(media) {
  // The fragment shows the first picture where a browser would show black.
  media.src = media.dataset.src + (media.tagName === "VIDEO" ? "#t=0.001" : "");
}

/** Give up the files of what leaves the page, so that the browser does not hold a thousand decoders. */
function release(place) {
  for (const media of place.querySelectorAll("video, audio, img")) {
    near.unobserve(media);
    if (media.tagName !== "IMG") { media.pause(); media.removeAttribute("src"); media.load(); }
  }
}

/** One result file: a player or a picture. `large` is for the details, where it has its controls and is loaded at once. */
function media(task, [path, link, mime, bytes, poster], large = false) {
  const src = about.folder + (link || path);
  const kind = mime.split("/")[0];
  const words = `${task.id}: ${path}`;
  const still = () => make("img", { alt: words, src: poster });
  const note = () => make("p", { class: "gone" }, make("strong", {}, "Not on this disk"), outside(path));
  const gone = () => missing.replaceWith(poster ? still() : note());
  let made = null;
  if (kind === "image") made = make("img", { alt: words, decoding: "async", error: gone });
  else if (kind === "video") made = make("video", { "aria-label": words, playsinline: true, loop: true, preload: "metadata", controls: large, error: gone });
  else if (kind === "audio") made = make("audio", { "aria-label": words, preload: "none", controls: true, error: gone });
  else return make("p", { class: "gone" }, make("a", { href: src }, outside(path)), size(bytes));
  const missing = made;
  if (poster && kind === "video") { made.poster = poster; made.preload = "none"; }
  if (poster && kind === "image" && !large) made.src = poster;
  else if (large) made.src = src;
  else { made.dataset.src = src; near.observe(made); }
  return made;
}

/** A button that plays a video on a card; everything else about it is in the details. */
function playButton(task, video) {
  const button = make("button", { type: "button", class: "play", "aria-label": `Play ${task.id}` }, icon("play"));
  const show = () => {
    button.replaceChildren(icon(video.paused ? "play" : "pause"));
    button.setAttribute("aria-label", `${video.paused ? "Play" : "Pause"} ${task.id}`);
  };
  button.addEventListener("click", () => {
    if (!video.src) { near.unobserve(video); load(video); }
    if (video.paused) video.play().catch(() => {}); // what cannot be played says so by its error event
    else video.pause();
  });
  video.addEventListener("play", () => { hush(video); show(); });
  video.addEventListener("pause", show);
  video.addEventListener("error", () => button.remove());
  return button;
}

/** One thing plays at a time. */
function hush(but) {
  for (const other of document.querySelectorAll("video, audio")) if (other !== but) other.pause();
}
