use rquickjs::{Ctx, Value, Object};
pub(crate) fn new_request<'js>(ctx: &Ctx<'js>, request: waystore::Request) -> rquickjs::Result<Value<'js>> {
    let make: rquickjs::Function<'js> = ctx.eval("globalThis.Request ??= class Request { constructor(u){this.url=u} }; globalThis.Response ??= class Response { constructor(b){this.b=b} }; (u) => new Request(u)")?;
    make.call((request.url.as_str(),))
}
pub(crate) fn take_response<'js>(_ctx: &Ctx<'js>, v: &Value<'js>) -> Result<waystore::Response, String> {
    let o: Object<'js> = v.as_object().cloned().ok_or("no")?;
    let b: String = o.get("b").map_err(|_| "nob".to_owned())?;
    Ok(waystore::Response::new(b))
}
