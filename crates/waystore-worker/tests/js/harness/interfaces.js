// Checks interfaces against a table: `checkInterfaces(table)` resolves with what is not so.
// A line each: name(length of the constructor, or nothing where it is illegal) : parent | members.
// Members: `name` read only, `name=` read and write, `name!` read only and a promise, `name/1` an operation of that length,
// `name/1!` one that returns a promise, `+name/1` a static one, `#NAME` a constant.
(() => {
const { getOwnPropertyDescriptor: descriptorOf, getOwnPropertyNames, getPrototypeOf } = Object;
const failures = [];
const expect = (what, holds) => {
  if (!holds) failures.push(what);
};

async function refuses(what, call, isPromise) {
  try {
    const result = call();
    if (!isPromise) return expect(`${what}: takes any receiver`, false);
    await result.then(
      () => expect(`${what}: takes any receiver`, false),
      (error) => expect(`${what}: rejects with ${error}`, error instanceof TypeError),
    );
  } catch (error) {
    expect(`${what}: throws ${error}${isPromise ? ", does not reject" : ""}`, !isPromise && error instanceof TypeError);
  }
}

function isFunction(what, called, name, length) {
  expect(`${what}: is no function`, typeof called === "function");
  if (typeof called !== "function") return;
  expect(`${what}: is named ${called.name}`, called.name === name);
  expect(`${what}: has the length ${called.length}`, called.length === length);
  expect(`${what}: has a prototype`, !("prototype" in called));
}

async function checkMember(name, Interface, member) {
  const constant = /^#(\w+)$/.exec(member);
  if (constant) {
    for (const holder of [Interface, Interface.prototype]) {
      const { value, writable, enumerable, configurable } = descriptorOf(holder, constant[1]) ?? {};
      expect(`${name}.${constant[1]}: constant`, typeof value === "number" && !writable && enumerable && !configurable);
    }
    return [constant[1]];
  }
  const operation = /^(\+?)(\w+)\/(\d)(!?)$/.exec(member);
  if (operation) {
    const [, isStatic, key, length, promise] = operation;
    const holder = isStatic ? Interface : Interface.prototype;
    const descriptor = descriptorOf(holder, key);
    const what = `${name}.${key}`;
    expect(`${what}: missing`, descriptor !== undefined);
    if (descriptor === undefined) return [];
    const { value, writable, enumerable, configurable } = descriptor;
    expect(`${what}: flags`, writable && enumerable && configurable);
    isFunction(what, value, key, Number(length));
    if (!isStatic && name !== "EventTarget") await refuses(what, () => value.call({}, 1, 2, 3), promise !== "");
    return isStatic ? [] : [key];
  }
  const [, key, writable] = /^(\w+)([=!]?)$/.exec(member);
  const descriptor = descriptorOf(Interface.prototype, key);
  const what = `${name}.${key}`;
  expect(`${what}: missing`, descriptor !== undefined);
  if (descriptor === undefined) return [];
  expect(`${what}: flags`, descriptor.enumerable && descriptor.configurable);
  isFunction(`get ${what}`, descriptor.get, `get ${key}`, 0);
  if (writable === "=") isFunction(`set ${what}`, descriptor.set, `set ${key}`, 1);
  else expect(`${what}: can be set`, descriptor.set === undefined);
  if (descriptor.get) {
    const promise = writable === "!";
    await refuses(what, () => descriptor.get.call({}), promise);
  }
  return [key];
}

async function check(line) {
  const [, name, length, parent, members] = /^(\w+)\((\d?)\)(?: : (\w+))? \|(.*)$/.exec(line);
  const descriptor = descriptorOf(globalThis, name);
  expect(`${name}: missing`, descriptor !== undefined);
  if (descriptor === undefined) return;
  expect(`${name}: flags`, descriptor.writable && !descriptor.enumerable && descriptor.configurable);
  const Interface = descriptor.value;
  expect(`${name}: is named ${Interface.name}`, Interface.name === name);
  expect(`${name}: has the length ${Interface.length}`, Interface.length === Number(length || 0));
  const own = descriptorOf(Interface, "prototype");
  expect(`${name}.prototype: flags`, !own.writable && !own.enumerable && !own.configurable);
  const constructor = descriptorOf(Interface.prototype, "constructor");
  expect(`${name}: constructor`, constructor?.value === Interface && constructor.writable && !constructor.enumerable);
  const tag = descriptorOf(Interface.prototype, Symbol.toStringTag);
  expect(`${name}: tag`, tag?.value === name && !tag.writable && !tag.enumerable && tag.configurable);
  const expectedParent = parent ? globalThis[parent] : Function.prototype;
  expect(`${name}: parent`, getPrototypeOf(Interface) === expectedParent);
  const above = parent ? globalThis[parent].prototype : name === "DOMException" ? Error.prototype : Object.prototype;
  expect(`${name}.prototype: parent`, getPrototypeOf(Interface.prototype) === above);
  await refuses(`${name}()`, () => Interface(1, 2, 3));
  if (length === "") await refuses(`new ${name}()`, () => new Interface(1, 2, 3));
  else if (Number(length) > 0) await refuses(`new ${name}()`, () => new Interface());
  const keys = ["constructor"];
  for (const member of members.trim().split(" ").filter(Boolean)) keys.push(...(await checkMember(name, Interface, member)));
  const others = getOwnPropertyNames(Interface.prototype).filter((key) => !keys.includes(key));
  expect(`${name}: also has ${others}`, others.length === 0);
}

  globalThis.checkInterfaces = async (table) => {
    for (const line of table.trim().split("\n")) {
      try {
        await check(line);
      } catch (error) {
        failures.push(`${line}: ${error} ${error.stack}`);
      }
    }
    return failures.join("\n");
  };
})();
