// The console. Spec: https://console.spec.whatwg.org/
export default function (kit) {
  const { inspect, print, now } = kit;
  const [DEBUG, INFO, WARN, ERROR] = [0, 1, 2, 3];
  const MAX_LABELS = 1000;
  const counts = new Map();
  const timers = new Map();
  let indent = "";

  function write(level, args) {
    const text = format(args);
    print(level, indent ? indent + text.replaceAll("\n", `\n${indent}`) : text);
  }

  // Spec: https://console.spec.whatwg.org/#formatter
  function format(args) {
    if (typeof args[0] !== "string" || args.length === 1 || !args[0].includes("%")) {
      return args.map((arg) => inspect(arg)).join(" ");
    }
    const [template, ...rest] = args;
    const text = template.replace(/%[sdifoOc%]/g, (directive) => {
      if (directive === "%%") return "%";
      if (rest.length === 0) return directive;
      const value = rest.shift();
      switch (directive) {
        case "%s":
          return typeof value === "object" ? inspect(value, 1) : String(value);
        case "%d":
        case "%i":
          return typeof value === "symbol" ? "NaN" : `${Number.parseInt(value, 10)}`;
        case "%f":
          return typeof value === "symbol" ? "NaN" : `${Number.parseFloat(value)}`;
        case "%c":
          return "";
        default:
          return inspect(value, 1);
      }
    });
    return [text, ...rest.map((arg) => inspect(arg))].join(" ");
  }

  // Labels are kept until they are ended; a script that never ends them does not grow for ever.
  function keep(map, label, value) {
    if (map.size < MAX_LABELS || map.has(label)) map.set(label, value);
  }

  // Columns as wide as their widest cell.
  function table(data) {
    const rows = Array.isArray(data) ? data.map((row, index) => [`${index}`, row]) : Object.entries(data);
    const columns = [];
    let plain = false;
    for (const [, row] of rows) {
      if (typeof row === "object" && row !== null) {
        for (const key of Object.keys(row)) if (!columns.includes(key) && columns.length < 20) columns.push(key);
      } else {
        plain = true;
      }
    }
    const head = ["(index)", ...columns, ...(plain ? ["value"] : [])];
    const cells = rows.slice(0, 1000).map(([index, row]) => {
      const isObject = typeof row === "object" && row !== null;
      const values = columns.map((key) => (isObject && key in row ? inspect(row[key], 2) : ""));
      return [index, ...values, ...(plain ? [isObject ? "" : inspect(row, 2)] : [])];
    });
    const widths = head.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at].length)));
    return [head, ...cells].map((row) => row.map((cell, at) => cell.padEnd(widths[at])).join("  ").trimEnd()).join("\n");
  }

  const console = {
    // Spec: https://console.spec.whatwg.org/#console-namespace
    __proto__: {},
    log: (...args) => write(INFO, args),
    info: (...args) => write(INFO, args),
    debug: (...args) => write(DEBUG, args),
    warn: (...args) => write(WARN, args),
    error: (...args) => write(ERROR, args),
    // Nothing is required of `dir` and `table`: their lengths are 0.
    dir: (...given) => write(INFO, [inspect(given[0])]),
    dirxml: (...args) => write(INFO, args),
    assert: (condition = false, ...args) => {
      if (condition) return;
      if (typeof args[0] === "string") args[0] = `Assertion failed: ${args[0]}`;
      else args.unshift("Assertion failed");
      write(ERROR, args);
    },
    trace: (...args) => {
      const frames = new Error().stack.split("\n").slice(1).join("\n").trimEnd();
      write(DEBUG, [`Trace${args.length ? `: ${format(args)}` : ""}\n${frames}`]);
    },
    table: (...given) => write(INFO, [typeof given[0] === "object" && given[0] !== null ? table(given[0]) : given[0]]),
    group: (...args) => {
      if (args.length) write(INFO, args);
      if (indent.length < 40) indent += "  ";
    },
    groupCollapsed: (...args) => console.group(...args),
    groupEnd: () => {
      indent = indent.slice(2);
    },
    count: (label = "default") => {
      keep(counts, `${label}`, (counts.get(`${label}`) ?? 0) + 1);
      write(INFO, [`${label}: ${counts.get(`${label}`) ?? 1}`]);
    },
    countReset: (label = "default") => counts.delete(`${label}`),
    time: (label = "default") => keep(timers, `${label}`, now()),
    timeLog: (label = "default", ...args) => elapsed(label, args),
    timeEnd: (label = "default") => {
      elapsed(label, []);
      timers.delete(`${label}`);
    },
    clear: () => {},
  };

  function elapsed(label, args) {
    const started = timers.get(`${label}`);
    if (started === undefined) write(WARN, [`Timer '${label}' does not exist`]);
    else write(INFO, [`${label}: ${now() - started} ms`, ...args]);
  }

  Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
  kit.global("console", console);
}
