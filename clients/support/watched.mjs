// What a page asks for, and whether it can be made to ask strangers.
//
// Takes {"goto": URL, "stranger": URL} as JSON from its standard input, opens the page in Chromium,
// and answers {"asked"}: all that the browser asked for to show it. Then it puts into the page what
// would ask the stranger, in every way that a page has; whether it did, the stranger knows.

import { text } from 'node:stream/consumers';

import { browse } from './browser.mjs';

const { goto, stranger } = JSON.parse(await text(process.stdin));

/** Runs in the page. */
async function tempt(place) {
  const add = (name, attributes) => {
    const element = Object.assign(document.createElement(name), attributes);
    document.body.append(element);
    return element;
  };
  add('img', { src: `${place}/image` });
  add('script', { src: `${place}/script` });
  add('link', { rel: 'stylesheet', href: `${place}/style` });
  add('iframe', { src: `${place}/frame` });
  add('object', { data: `${place}/object` });
  const video = add('video', { src: `${place}/video` });
  document.body.setAttribute('style', `background: url(${place}/background)`);
  navigator.sendBeacon(`${place}/beacon`);
  await fetch(`${place}/fetch`, { mode: 'no-cors' }).catch(() => undefined);
  // No video comes from there, whether it was asked for or refused; a browser takes its time to ask.
  if (!video.error) await new Promise((settle) => video.addEventListener('error', settle));
  // The last, because it leads away.
  setTimeout(() => add('form', { action: `${place}/form`, method: 'post' }).submit(), 500);
}

const asked = await browse(async (page) => {
  const urls = [];
  page.on('request', (request) => urls.push(request.url()));
  await page.goto(goto, { waitUntil: 'networkidle' });
  const shown = [...urls];
  await page.evaluate(tempt, stranger);
  await page.waitForTimeout(1500);
  return shown;
});
console.log(JSON.stringify({ asked }));
