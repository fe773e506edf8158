// FormData: a list of names with text or files. Spec: https://xhr.spec.whatwg.org/#interface-formdata
export default function (kit) {
  const { fileOf, isBlob, isFile } = kit;
  const text = (value) => `${value}`.toWellFormed();
  let listOf;
  let isFormData;

  class FormData {
    #list = [];

    static {
      listOf = (form) => form.#list;
      isFormData = (value) => typeof value === "object" && value !== null && #list in value;
    }

    constructor(form = undefined) {
      if (form !== undefined) throw new TypeError("FormData: there are no forms here");
    }

    append(name, value, filename = undefined) {
      const list = this.#list;
      list.push(entry("append", arguments));
    }

    delete(name) {
      const list = this.#list;
      needs(1, "delete", arguments);
      const gone = text(name);
      this.#list = list.filter((entry) => entry[0] !== gone);
    }

    get(name) {
      const list = this.#list;
      needs(1, "get", arguments);
      const wanted = text(name);
      return list.find((entry) => entry[0] === wanted)?.[1] ?? null;
    }

    getAll(name) {
      const list = this.#list;
      needs(1, "getAll", arguments);
      const wanted = text(name);
      return list.filter((entry) => entry[0] === wanted).map((entry) => entry[1]);
    }

    has(name) {
      const list = this.#list;
      needs(1, "has", arguments);
      const wanted = text(name);
      return list.some((entry) => entry[0] === wanted);
    }

    set(name, value, filename = undefined) {
      const list = this.#list;
      const made = entry("set", arguments);
      const first = list.findIndex((entry) => entry[0] === made[0]);
      if (first < 0) {
        list.push(made);
        return;
      }
      list[first] = made;
      this.#list = list.filter((entry, index) => index <= first || entry[0] !== made[0]);
    }
  }
  for (const [name, length] of [["append", 2], ["set", 2]]) {
    Object.defineProperty(FormData.prototype[name], "length", { value: length, configurable: true });
  }

  function needs(count, operation, given) {
    if (given.length >= count) return;
    const plural = count === 1 ? "" : "s";
    throw new TypeError(`${operation} needs ${count} argument${plural}, but was given ${given.length}`);
  }

  // Spec: https://xhr.spec.whatwg.org/#create-an-entry
  function entry(operation, given) {
    needs(2, operation, given);
    const [name, value, filename] = given;
    if (!isBlob(value)) {
      if (given.length > 2) throw new TypeError(`${operation}: only a Blob has a file name`);
      return [text(name), text(value)];
    }
    if (isFile(value) && filename === undefined) return [text(name), value];
    const named = filename === undefined ? "blob" : text(filename);
    return [text(name), fileOf(value, named, isFile(value) ? value.lastModified : undefined)];
  }

  kit.expose(FormData);
  kit.pairs(FormData, "FormData", (form, index) => listOf(form)[index]?.slice());
  kit.isFormData = isFormData;
  // For the native side: name, text or file, and the file's name or undefined.
  kit.entriesOf = (form) => listOf(form).map(([name, value]) => (isFile(value) ? [name, value, value.name] : [name, value]));
  kit.newFormData = (list) => {
    const form = new FormData();
    for (const [name, value, filename] of list) {
      listOf(form).push([name, filename === undefined ? value : fileOf(value, filename)]);
    }
    return form;
  };
}
