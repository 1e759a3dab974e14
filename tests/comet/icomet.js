// A client that does over the wire what iComet's icomet.js does: the same requests, the same rules, written anew.
// With EventSource where there is one, else by JSONP; faults included that decide what a server may answer: after
// an array it polls no more, and after an error of the EventSource it waits for its watchdog.
function iComet({ channel, subUrl, signUrl, callback }) {
  iComet.count = (iComet.count ?? -1) + 1;
  const fn = `icomet_cb_${iComet.count}`;
  let cname = channel, token = '', seq = 0, noop = 0, arrays = false, source = null;
  const join = (url) => url + (url.includes('?') ? '&' : '?');

  const script = (url) => {
    document.querySelector(`script.${fn}`)?.remove();
    const element = document.createElement('script');
    element.className = fn;
    element.src = url;
    document.head.append(element);
  };
  const subscribe = (delay = 0) => {
    const url = () => `${join(subUrl)}cb=${fn}&cname=${cname}&seq=${seq}&noop=${noop}&token=${token}&_=${Date.now()}`;
    if (typeof EventSource !== 'undefined') {
      if (source) return;
      source = new EventSource(url().replace('/sub?', '/sse?'));
      source.onmessage = (e) => window[fn](JSON.parse(e.data));
      source.onerror = () => { source.close(); source = null; };
    } else if (!arrays) {
      setTimeout(() => script(url()), delay);
    }
  };
  const one = (message) => {
    switch (message.type) {
      case 'sign':
        ({ cname, token } = message);
        return subscribe();
      case '401': case '404':
        return alert(`${message.type} ${message.content}`);
      case '429':
        return subscribe(5000 + Math.random() * 5000);
      case 'noop':
        if (message.seq === noop) { noop += 1; subscribe(Math.random() * 1000); }
        return undefined;
      case 'next_seq':
        seq = message.seq;
        return subscribe();
      case 'data': case 'broadcast':
        if (message.seq >= seq || message.seq <= 1) callback(message.content, message.type);
        seq = message.seq + 1;
        return subscribe();
      default:
        return undefined;
    }
  };
  window[fn] = (said) => {
    if (!(said instanceof Array)) return one(said);
    arrays = true; // and never again false
    return said.forEach(one);
  };
  if (signUrl) script(`${join(signUrl)}cb=${fn}&cname=${cname}&_=${Date.now()}`);
  else subscribe();
}
