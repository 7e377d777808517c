// Sets every formula of a page with KaTeX in strict mode; prints each that fails or warns, exits 1 if there is one.
// usage: node katex.js katex.min.js page.html
const fs = require("fs");
const katex = require(require("path").resolve(process.argv[2]));
const entities = { lt: "<", gt: ">", quot: '"', "#x27": "'", amp: "&" };
const page = fs.readFileSync(process.argv[3], "utf8");
let count = 0, failed = 0;
for (const [, source] of page.matchAll(/<span class="m[^"]*">([\s\S]*?)<\/span>/g)) {
  const formula = source.replace(/&(lt|gt|quot|#x27|amp);/g, (_, name) => entities[name]);
  count += 1;
  try {
    katex.renderToString(formula, { strict: "error", throwOnError: true });
  } catch (error) {
    failed += 1;
    console.log(`${formula}\n    ${error.message}`);
  }
}
console.log(`${count} formulas, ${failed} failed`);
process.exit(failed || !count ? 1 : 0);
