// The files of a scripted host.

const ROOT = ".";

/** A path in its one spelling. */
function normal(path) {
  const parts = [];
  for (const part of path.split("/")) {
    if (part === "..") {
      parts.pop();
    } else if (part !== "" && part !== ".") {
      parts.push(part);
    }
  }
  return (path.startsWith("/") ? "/" : "") + parts.join("/") || ROOT;
}

const parent = (path) => path.slice(0, Math.max(path.lastIndexOf("/"), 0)) || (path.startsWith("/") ? "/" : ROOT);

/** The interface `fs` over the `files` and `directories` of a host. */
export function files(host, check, refuse) {
  const at = (path) => {
    check("fs", path);
    return normal(path);
  };
  const contents = () => new Map([...host.files].map(([path, content]) => [normal(path), content]));
  const directories = () => {
    const found = new Set([ROOT, ...[...host.directories].map(normal)]);
    for (let path of [...contents().keys(), ...found]) {
      while ((path = parent(path)) !== ROOT && path !== "/") {
        found.add(path);
      }
    }
    return found;
  };
  const kind = (path) => (contents().has(path) ? "file" : directories().has(path) ? "directory" : refuse("not-found"));
  const names = (path) =>
    [...contents().keys(), ...directories()].filter(
      (other) => other !== ROOT && other !== path && parent(other) === path,
    );
  /** Takes everything away that is at a path or below it, under whatever spelling the test gave it. */
  const take = (path) => {
    const taken = { files: [], directories: [] };
    for (const name of ["files", "directories"]) {
      for (const entry of [...host[name].entries()]) {
        const spelt = normal(entry[0]);
        if (spelt === path || spelt.startsWith(`${path}/`)) {
          host[name].delete(entry[0]);
          taken[name].push([spelt.slice(path.length), entry[1]]);
        }
      }
    }
    return taken;
  };
  return {
    read: (path) => {
      path = at(path);
      return kind(path) === "file" ? contents().get(path) : refuse("not-a-file");
    },
    write: (path, content) => {
      path = at(path);
      if (directories().has(path)) {
        refuse("not-a-file");
      }
      take(path);
      host.files.set(path, content);
    },
    entries: (path) => {
      path = at(path);
      if (kind(path) !== "directory") {
        refuse("not-a-directory");
      }
      return names(path)
        .sort()
        .map((other) => ({ name: other.slice(other.lastIndexOf("/") + 1), kind: kind(other) }));
    },
    stat: (path) => {
      path = at(path);
      return { kind: kind(path), size: contents().get(path)?.length ?? 0, modified: 0 };
    },
    makeDirectory: (path) => {
      path = at(path);
      if (contents().has(path) || directories().has(path)) {
        refuse("exists");
      }
      host.directories.add(path);
    },
    remove: (path) => {
      path = at(path);
      if (kind(path) === "directory" && names(path).length > 0) {
        refuse("not-empty");
      }
      take(path);
    },
    rename: (from, to) => {
      [from, to] = [at(from), at(to)];
      kind(from);
      const taken = take(from);
      take(to);
      taken.files.forEach(([rest, content]) => host.files.set(to + rest, content));
      taken.directories.forEach(([rest]) => host.directories.add(to + rest));
    },
  };
}
