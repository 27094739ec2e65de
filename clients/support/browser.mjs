// A real browser: Chromium without a window.
//
// As a program, it takes steps as JSON from its standard input, and answers where they led:
// {"url", "title", "text"}. A step that cannot be done ends it with an error. The steps are
//   {"goto": URL}
//   {"fill": SELECTOR, "with": TEXT}
//   {"click": SELECTOR}
//   {"press": KEY}         on the keyboard; either may have "until": URL, and then waits until the
//     browser asks for something that begins so, whether or not anybody answers
//   {"see": TEXT}          waits until the page says so
//   {"look": "dark"}       or "light": what the person prefers
//   {"focused": TEXT}      fails unless that is the text of what has the focus, and one can see that
//   {"audit": true}        fails when the page breaks a rule of WCAG 2.2 AA that axe-core can see
//   {"screenshot": FILE}
// and the first may be
//   {"scripts": false}     as for people who let no scripts run
//
// As a module, `browse` opens a page and hands it to a function.

import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

import { installed } from '../providers/installed.mjs';

const PATIENCE = 20_000;

/** Opens a page in a browser of its own, that is closed after `visit(page)`. */
export async function browse(visit, { scripts = true } = {}) {
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  const { chromium } = (await installed('playwright-core')).default;
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    // Servers under test have certificates of their own.
    const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: scripts });
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
    } else if ('until' in step) {
      const asked = page.waitForRequest((request) => request.url().startsWith(step.until));
      if ('click' in step) await page.click(step.click, { noWaitAfter: true });
      else await page.keyboard.press(step.press);
      ended = (await asked).url();
    } else if ('click' in step) {
      await page.click(step.click);
    } else if ('press' in step) {
      await page.keyboard.press(step.press);
    } else if ('look' in step) {
      await page.emulateMedia({ colorScheme: step.look });
    } else if ('focused' in step) {
      await mustHaveFocus(page, step.focused);
    } else if ('audit' in step) {
      await audit(page);
    } else if ('see' in step) {
      await page.getByText(step.see).first().waitFor();
    } else if ('screenshot' in step) {
      await page.screenshot({ path: step.screenshot });
    } else if (!('scripts' in step)) {
      throw new Error(`there is no such step: ${JSON.stringify(step)}`);
    }
    if (!('until' in step)) ended = undefined;
  }
  if (ended !== undefined) return { url: ended };
  return { url: page.url(), title: await page.title(), text: await page.innerText('body') };
}

async function mustHaveFocus(page, text) {
  const focused = await page.evaluate(() => {
    const { innerText } = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return { text: innerText, seen: outlineStyle !== 'none' && outlineWidth !== '0px' };
  });
  if (!focused.text.includes(text) || !focused.seen) {
    throw new Error(`the focus is not seen on ${text}: ${JSON.stringify(focused)}`);
  }
}

async function audit(page) {
  const { source } = (await installed('axe-core')).default;
  await page.evaluate(source);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const { violations, passes } = await page.evaluate((values) => globalThis.axe.run({ runOnly: values }), tags);
  if (violations.length > 0 || passes.length === 0) {
    throw new Error(`the page is not for everybody: ${JSON.stringify(violations, null, 2)}`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const steps = JSON.parse(await text(process.stdin));
  console.log(JSON.stringify(await browse((page) => walk(page, steps), steps[0])));
}
