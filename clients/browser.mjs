// A real browser: Chromium without a window.
//
// As a program, it takes steps as JSON from its standard input, and answers where they led:
// {"url", "title", "text"}. A step that cannot be done ends it with an error. The steps are
//   {"goto": URL}
//   {"fill": SELECTOR, "with": TEXT}
//   {"click": SELECTOR}, and with "until": URL it waits until the browser asks for something that
//     begins so, whether or not anybody answers
//   {"see": TEXT}          waits until the page says so
//   {"screenshot": FILE}
//
// As a module, `browse` opens a page and hands it to a function.

import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

import { installed } from './providers/installed.mjs';

const PATIENCE = 20_000;

/** Opens a page in a browser of its own, that is closed after `visit(page)`. */
export async function browse(visit, { executablePath = process.env.CHROMIUM || '/usr/bin/chromium' } = {}) {
  const { chromium } = (await installed('playwright-core')).default;
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    // Servers under test have certificates of their own.
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(PATIENCE);
    return await visit(await context.newPage());
  } finally {
    await browser.close();
  }
}

/** Does steps in order; answers where they led. */
export async function walk(page, steps) {
  let ended;
  for (const step of steps) {
    if ('goto' in step) {
      await page.goto(step.goto);
    } else if ('fill' in step) {
      await page.fill(step.fill, step.with);
    } else if ('click' in step && 'until' in step) {
      const asked = page.waitForRequest((request) => request.url().startsWith(step.until));
      await page.click(step.click, { noWaitAfter: true });
      ended = (await asked).url();
    } else if ('click' in step) {
      await page.click(step.click);
    } else if ('see' in step) {
      await page.getByText(step.see).first().waitFor();
    } else if ('screenshot' in step) {
      await page.screenshot({ path: step.screenshot });
    } else {
      throw new Error(`there is no such step: ${JSON.stringify(step)}`);
    }
    if (!('until' in step)) ended = undefined;
  }
  if (ended !== undefined) return { url: ended };
  return { url: page.url(), title: await page.title(), text: await page.innerText('body') };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const steps = JSON.parse(await text(process.stdin));
  console.log(JSON.stringify(await browse((page) => walk(page, steps))));
}
