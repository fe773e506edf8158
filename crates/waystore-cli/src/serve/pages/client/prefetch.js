// waystore.prefetch(): asks the gateway to fetch ahead, and tells how it goes. The plan is that of
// docs/prefetch.md; what is known of the visitor's connection goes along with it.

function prefetchWith(desk) {
  return async function prefetch(given) {
    if (typeof given !== "object" || given === null) throw new TypeError("prefetch needs a plan: { urls: [...] }");
    const { signal, onprogress, ...plan } = given;
    if (onprogress !== undefined && typeof onprogress !== "function") throw new TypeError("onprogress is not a function");
    signal?.throwIfAborted();
    const { urls } = plan;
    plan.urls = Array.from(urls ?? [], (url) => (url instanceof URL ? url.href : url));
    plan.base ??= document.baseURI;
    plan.connection ??= connectionHints();
    return new Promise((resolve, reject) => {
      const ended = new AbortController();
      const then = (settle) => (given) => {
        ended.abort();
        settle(given);
      };
      const abort = desk.start(plan, {
        progress: ({ event }) => onprogress?.(event),
        end: then(({ results, error }) => (error === undefined ? resolve(results) : reject(errorNamed(error)))),
        failed: then(reject),
      });
      const stop = () => {
        abort();
        reject(signal.reason);
      };
      // Many prefetches may share a signal, which may be there for as long as the page.
      signal?.addEventListener("abort", stop, { signal: ended.signal });
    });
  };
}

// Spec: https://wicg.github.io/netinfo/
function connectionHints() {
  const { saveData, effectiveType, downlink, rtt } = navigator.connection ?? {};
  return { saveData: saveData === true, effectiveType, downlink, rtt };
}

// Whether the visitor would rather not have what was not asked for.
function wantsToSave() {
  const { saveData, effectiveType = "" } = connectionHints();
  return saveData || effectiveType.endsWith("2g");
}
