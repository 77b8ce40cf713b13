// what the server answers; body: for POST, either bytes or what becomes JSON
async function request(path, body) {
  const content = body && (body instanceof Blob || ArrayBuffer.isView(body) ? body : JSON.stringify(body));
  const answer = await fetch(path, content && {method: "POST", body: content})
    .catch(() => { throw new Error("The process behind this page does not answer. It may have ended."); });
  const said = await answer.json();
  if (said.error) throw new Error(said.error);
  return said;
}
