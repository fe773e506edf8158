// From a readable stream into a writable one. Spec: https://streams.spec.whatwg.org/#readable-stream-pipe-to
export default function (kit) {
  const S = kit.streams;
  const { all, attempt, deferred, dictionary, nothing, quiet, resolved, then } = S;

  // The options of pipeTo and pipeThrough.
  S.pipeOptions = (options) => {
    const { preventAbort, preventCancel, preventClose, signal } = dictionary(options, "the options of a pipe");
    if (signal !== undefined && !kit.isAbortSignal(signal)) throw new TypeError("`signal` is not an AbortSignal");
    return {
      preventAbort: Boolean(preventAbort), preventCancel: Boolean(preventCancel), preventClose: Boolean(preventClose), signal,
    };
  };

  S.pipe = (readable, writable, { preventAbort, preventCancel, preventClose, signal }) => {
    const source = S.stateOf(readable);
    const sink = S.writableStateOf(writable);
    const reader = S.lock(source);
    const writer = S.lockWriter(sink);
    const finished = deferred();
    let ending = false;
    let reading = false;
    let lastWrite = resolved(undefined);
    source.disturbed = true;
    const stopListening = signal === undefined ? nothing : listenTo(signal);

    // Ends the pipe once what was read is written; `action` first, where there is one.
    function end(action, error) {
      if (ending) return;
      ending = true;
      const isOpen = sink.status === "writable" && !S.isEnding(sink);
      then(isOpen ? written() : resolved(undefined), () => {
        if (action === undefined) finish(error);
        else then(attempt(action), () => finish(error), (thrown) => finish({ error: thrown }));
      });
    }

    // Until no write is under way; a chunk that is being read is written too.
    function written() {
      const before = lastWrite;
      return then(before, () => (before === lastWrite ? undefined : written()));
    }

    function finish(error) {
      stopListening();
      S.releaseWriter(writer);
      S.release(reader);
      if (error === undefined) finished.resolve(undefined);
      else finished.reject(error.error);
    }

    function listenTo(signal) {
      const abort = () => {
        const error = signal.reason;
        const actions = [];
        if (!preventAbort) actions.push(() => (sink.status === "writable" ? S.abortWritable(sink, error) : undefined));
        if (!preventCancel) actions.push(() => (source.status === "readable" ? S.cancel(source, error) : undefined));
        end(() => all(actions.map((action) => attempt(action))), { error });
      };
      if (!signal.aborted) return kit.whileUnaborted(signal, abort);
      abort();
      return nothing;
    }

    function sourceFailed(error) {
      end(preventAbort ? undefined : () => S.abortWritable(sink, error), { error });
    }

    function sourceClosed() {
      end(preventClose ? undefined : closeSink, undefined);
    }

    function closeSink() {
      if (S.isEnding(sink) || sink.status === "closed") return resolved(undefined);
      if (sink.status === "errored") throw sink.error;
      return S.closeWritable(sink);
    }

    function sinkFailed(error) {
      end(preventCancel ? undefined : () => S.cancel(source, error), { error });
    }

    // What is the case already comes first, and in this order.
    if (source.status === "errored") sourceFailed(source.error);
    else if (sink.status === "errored") sinkFailed(sink.error);
    else if (source.status === "closed") sourceClosed();
    else if (S.isEnding(sink) || sink.status === "closed") sinkFailed(new TypeError("the destination is closed"));
    quiet(then(reader.closed.promise, sourceClosed, sourceFailed));
    quiet(then(writer.closed.promise, () => sinkFailed(new TypeError("the destination is closed")), sinkFailed));

    function step() {
      if (ending || reading) return;
      then(writer.ready.promise, read, nothing);
    }

    function read() {
      if (ending || reading || S.writableDesiredSize(sink) === null) return;
      reading = true;
      S.read(reader, {
        // Later, so that the source is not told within its own call.
        chunk(chunk) {
          reading = false;
          const write = then(resolved(undefined), () => S.write(writer, chunk));
          lastWrite = then(write, nothing, nothing);
          then(resolved(undefined), step);
        },
        close: () => {
          reading = false;
        },
        error: () => {
          reading = false;
        },
      });
    }

    step();
    return finished.promise;
  };
}
