// `waystore`: what this runtime has beside the interfaces of a browser. Its one operation fetches ahead; plans, progress and
// rows are those of docs/prefetch.md.
export default function (kit) {
  const { parse, stringify } = JSON;
  const { defineProperty } = Object;

  async function prefetch(plan) {
    if (arguments.length === 0) throw new TypeError("prefetch needs 1 argument, but was given 0");
    if (typeof plan !== "object" || plan === null) throw new TypeError("prefetch needs a plan: an object with `urls`");
    const { onprogress, signal, ...members } = plan;
    if (signal !== undefined && !kit.isAbortSignal(signal)) throw new TypeError("prefetch: `signal` is not an AbortSignal");
    if (onprogress !== undefined && onprogress !== null && typeof onprogress !== "function") {
      throw new TypeError("prefetch: `onprogress` is not a function");
    }
    const heard = onprogress && ((event) => onprogress(parse(event)));
    return parse(await kit.startPrefetch(stringify(members), signal, heard));
  }

  const waystore = { prefetch };
  defineProperty(waystore, Symbol.toStringTag, { value: "waystore", configurable: true });
  kit.global("waystore", waystore);
}
