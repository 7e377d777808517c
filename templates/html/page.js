for (const place of document.querySelectorAll(".m")) {
  katex.render(place.textContent, place, { throwOnError: false, strict: "error" });
}
// A formula that was opened from a link moves when formulas above it are set.
if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
