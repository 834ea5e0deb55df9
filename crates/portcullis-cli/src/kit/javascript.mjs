// Makes a component of a plugin in JavaScript: `node javascript.mjs MODULES ROOT ENTRY WIT WORLD OUT`.
//
// MODULES is the directory in which `componentize-qjs` and `esbuild` are installed, ROOT that of the plugin and ENTRY the file in it.
//
// QuickJS comes to no promises of its own while an export is in progress. So a plugin with `@portcullis/sdk` is made one module in
// which asynchronous functions are generators; `Promise` in it is that of the package. Any other is left as it was written.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, root, entry, witPath, world, out] = process.argv.slice(2);
const SDK = "@portcullis/sdk";
/** What the tool calls the one module in traces. */
const BUNDLE = "componentize-qjs:user.js";

const load = (path) => import(pathToFileURL(join(modules, path)));

/** Names of interfaces, which are left to `componentize-qjs`; streams are called as in the WIT that it is given. */
const interfaces = {
  name: "interfaces",
  setup: (build) =>
    build.onResolve({ filter: /^[a-z][a-z0-9-]*:[a-z]/ }, ({ path }) => ({
      path: path.replace(/^wasi:io/, "wasj:io"),
      external: true,
    })),
};

/** The plugin as one module, and which of its places is from which line of which file. */
async function lowered() {
  const { build } = await load("esbuild/lib/main.js");
  const { outputFiles } = await build({
    // The package first: what the plugin begins with has its promises already.
    stdin: {
      contents: `import "${SDK}";\nexport * from ${JSON.stringify(`./${entry}`)};\n`,
      resolveDir: resolve(root),
      sourcefile: `node_modules/${SDK}/entry.js`,
    },
    absWorkingDir: resolve(root),
    outdir: ".",
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    // As `componentize-qjs` finds modules.
    mainFields: ["module", "main"],
    conditions: [],
    target: "esnext",
    supported: { "async-await": false, "async-generator": false, "for-await": false, using: false },
    charset: "utf8",
    sourcemap: "external",
    sourcesContent: false,
    logLevel: "warning",
    plugins: [interfaces],
  });
  const [map, text] = [".js.map", ".js"].map((end) => outputFiles.find(({ path }) => path.endsWith(end)).text);
  return { text, places: placesIn(text, JSON.parse(map)) };
}

/** Text of the package, in the plugin's own directory or as it is installed, is not the plugin's. */
const isOfSdk = (source) => /(^|\/)(portcullis-sdk|node_modules\/@portcullis\/sdk)\//.test(source);

/**
 * The names of the plugin's files, and in their order the places in its one module from which on that is another line of them:
 * `[line, column, file, line in the file]`, with the name of the asynchronous function in which that is, since what became of it
 * has none. No file is text of others.
 */
function placesIn(text, map) {
  const decoded = new SourceMap(map);
  const [files, places] = [[], []];
  const within = [];
  let last = "";
  let before = "";
  text.split("\n").forEach((line, number) => {
    if (within.length > 0 && line.startsWith(`${within.at(-1).indent}})`)) {
      within.pop();
    }
    const [, indent, head] = /^( *)(.*)__async(?:Generator)?\(\w+, \w+, function\* \(.*\{$/.exec(line) ?? [];
    for (let column = 0; column < line.length; column++) {
      const { originalSource: source, originalLine, generatedLine, generatedColumn } = decoded.findEntry(number, column);
      if (generatedLine !== number || generatedColumn !== column) {
        continue;
      }
      const isOwn = !isOfSdk(source);
      const name = within.at(-1)?.name;
      const place = isOwn ? `${source}:${originalLine}:${name}` : "";
      if (place !== last) {
        last = place;
        if (isOwn && !files.includes(source)) {
          files.push(source);
        }
        const origin = isOwn ? [files.indexOf(source), originalLine + 1] : [];
        places.push([number + 1, column + 1, ...origin, ...(isOwn && name ? [name] : [])]);
      }
    }
    if (indent !== undefined) {
      const [, name] =
        head === "return "
          ? (/^ *(?:function |static )*([#\w$]+)\(.*\{$/.exec(before) ?? [])
          : (/^(?:var |let |const )?([#\w$]+)(?: = |: )/.exec(head) ?? []);
      within.push({ indent, name });
    }
    before = line;
  });
  return { files: files.map((file) => relative(root, resolve(root, file))), places };
}

/** What the tool says, with places in the plugin's own files, and of an interface that the world does not have what is missing. */
function told(text, { files, places }) {
  const [, name] = /module 'portcullis:cli\/([a-z]+)@/.exec(text) ?? [];
  if (name) {
    const capability = name === "command" ? "exec" : name;
    return `\`${SDK}/${capability}\` is imported, and \`plugin.toml\` has no \`[[asks]]\` with \`capability = "${capability}"\``;
  }
  return text.replace(new RegExp(`${BUNDLE}:(\\d+):(\\d+)`, "g"), (place, ...at) => {
    const [line, column] = at.map(Number);
    const [, , file, origin] = places.findLast(([l, c]) => l < line || (l === line && c <= column)) ?? [];
    return file === undefined ? place : `/${files[file]}:${origin}`;
  });
}

let script;
let places = { files: [], places: [] };
try {
  if (existsSync(join(root, "node_modules", SDK))) {
    const bundle = await lowered();
    places = bundle.places;
    // Its traces are read with this: `trace.js` of the package.
    script = { jsSource: `${bundle.text}globalThis[Symbol.for("portcullis.places")] = ${JSON.stringify(places)};\n` };
  } else {
    const jsPath = join(root, entry);
    script = { jsPath, jsSource: readFileSync(jsPath, "utf8"), moduleRoot: root };
  }
  const { componentize } = await load("componentize-qjs/index.js");
  const { component } = await componentize({ ...script, witPath, world, sync: true, optSize: true });
  writeFileSync(out, component);
} catch (error) {
  // What esbuild has to say of the plugin it has said.
  if (!error.errors) {
    console.error(told(error.message, places));
  }
  process.exit(1);
}
// The process that does the work of esbuild is still there.
process.exit(0);
