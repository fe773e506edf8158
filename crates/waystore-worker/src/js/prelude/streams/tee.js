// Two streams of one. Spec: https://streams.spec.whatwg.org/#abstract-opdef-readablestreamtee
export default function (kit) {
  const S = kit.streams;
  const { deferred, make, resolved, then, quiet } = S;
  const bytesAt = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const copyOf = (view) => new Uint8Array(bytesAt(view));

  S.tee = (stream, state) => {
    if (state.reader !== undefined) throw new TypeError("the stream is locked to a reader");
    if (state.native !== undefined) return kit.teeNative(stream);
    return state.controller.isBytes ? teeBytes(state) : teeChunks(state);
  };

  // What both kinds share: the source is cancelled once both branches are, with both reasons.
  function halves(state) {
    const cancelled = deferred();
    const reasons = [];
    return {
      cancelled,
      isCancelled: (index) => index in reasons,
      both: () => 0 in reasons && 1 in reasons,
      cancel: (index) => (reason) => {
        const other = 1 - index;
        reasons[index] = reason;
        if (other in reasons) cancelled.resolve(S.cancel(state, [reasons[0], reasons[1]]));
        return cancelled.promise;
      },
    };
  }

  // A failure of the source is one of both branches; `reader()` is the reader of this moment.
  function forwardFailure(closed, isCurrent, branches, fail, half) {
    quiet(
      then(closed, undefined, (error) => {
        if (!isCurrent()) return;
        for (const branch of branches) fail(branch, error);
        if (!half.both()) half.cancelled.resolve(undefined);
      }),
    );
  }

  function teeChunks(state) {
    const reader = S.lock(state);
    const half = halves(state);
    const branches = [];
    let reading = false;
    let readAgain = false;
    const pull = () => {
      if (reading) {
        readAgain = true;
        return resolved(undefined);
      }
      reading = true;
      S.read(reader, {
        // Later: the branches must not be told within the call that filled the source.
        chunk: (value) =>
          then(resolved(undefined), () => {
            readAgain = false;
            for (const index of [0, 1]) if (!half.isCancelled(index)) S.enqueue(branches[index], value);
            reading = false;
            if (readAgain) pull();
          }),
        close: () => {
          reading = false;
          for (const index of [0, 1]) if (!half.isCancelled(index)) S.closeDefault(branches[index]);
          if (!half.both()) half.cancelled.resolve(undefined);
        },
        error: () => {
          reading = false;
        },
      });
      return resolved(undefined);
    };
    const streams = [0, 1].map((index) =>
      make((branch) => {
        branches[index] = S.startDefault(branch, { pull, cancel: half.cancel(index) }, 1, undefined);
      }),
    );
    forwardFailure(reader.closed.promise, () => true, branches, S.failDefault, half);
    return streams;
  }

  // Reads into the buffer of whichever branch has a reader with one; the other gets a copy.
  function teeBytes(state) {
    let reader = S.lock(state);
    const half = halves(state);
    const branches = [];
    const readAgain = [false, false];
    let reading = false;

    const useReader = (isByob) => {
      if (reader.isByob === isByob) return;
      S.release(reader);
      reader = S.lock(state, isByob);
      watch(reader);
    };
    const watch = (watched) => {
      forwardFailure(watched.closed.promise, () => watched === reader, branches, S.failBytes, half);
    };
    const again = () => {
      reading = false;
      if (readAgain[0]) pull(0);
      else if (readAgain[1]) pull(1);
    };
    const closeBoth = () => {
      reading = false;
      for (const index of [0, 1]) {
        if (!half.isCancelled(index)) S.closeBytes(branches[index]);
      }
      for (const branch of branches) if (branch.wanted.length > 0) S.respond(branch, 0);
      if (!half.both()) half.cancelled.resolve(undefined);
    };
    const stopReading = () => {
      reading = false;
    };

    const pullWithDefault = () => {
      useReader(false);
      S.read(reader, {
        chunk: (chunk) =>
          then(resolved(undefined), () => {
            readAgain.fill(false);
            const second = !half.isCancelled(0) && !half.isCancelled(1) ? copyOf(chunk) : chunk;
            if (!half.isCancelled(0)) S.enqueueBytes(branches[0], chunk);
            if (!half.isCancelled(1)) S.enqueueBytes(branches[1], second);
            again();
          }),
        close: closeBoth,
        error: stopReading,
      });
    };

    const pullWithView = (view, index) => {
      useReader(true);
      const other = 1 - index;
      state.disturbed = true;
      state.controller.pullInto(view, 1, {
        chunk: (chunk) =>
          then(resolved(undefined), () => {
            readAgain.fill(false);
            if (!half.isCancelled(other)) {
              const copy = copyOf(chunk);
              if (!half.isCancelled(index)) S.respondWith(branches[index], chunk);
              S.enqueueBytes(branches[other], copy);
            } else if (!half.isCancelled(index)) {
              S.respondWith(branches[index], chunk);
            }
            again();
          }),
        close: (chunk) => {
          reading = false;
          if (!half.isCancelled(index)) S.closeBytes(branches[index]);
          if (!half.isCancelled(other)) S.closeBytes(branches[other]);
          if (chunk !== undefined) {
            if (!half.isCancelled(index)) S.respondWith(branches[index], chunk);
            if (!half.isCancelled(other) && branches[other].wanted.length > 0) S.respond(branches[other], 0);
          }
          if (!half.both()) half.cancelled.resolve(undefined);
        },
        error: stopReading,
      });
    };

    const pull = (index) => {
      if (reading) {
        readAgain[index] = true;
        return resolved(undefined);
      }
      reading = true;
      const request = S.requestOf(branches[index]);
      if (request === null) pullWithDefault();
      else if (state.status === "errored") stopReading();
      else pullWithView(request.view, index);
      return resolved(undefined);
    };

    const streams = [0, 1].map((index) =>
      make((branch) => {
        const algorithms = { pull: () => pull(index), cancel: half.cancel(index) };
        branches[index] = S.startBytes(branch, algorithms, 0, undefined);
      }),
    );
    watch(reader);
    return streams;
  }
}
