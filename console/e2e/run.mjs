// The console in Chromium (tests/integration/console_test.py starts everything else). One argument: JSON with url, token, chromium,
// profile, and shots (a directory) if pictures are wanted.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const asked = JSON.parse(process.argv[2]);
const faults = [];
const say = (text) => console.log(text);

function check(good, text) {
  if (!good) throw new Error(text);
}
async function until(condition, text, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${text}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

const browser = await chromium.launchPersistentContext(asked.profile, {
  executablePath: asked.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--js-flags=--expose-gc'],
  viewport: { width: 1440, height: 900 },
  locale: 'zh-CN',
});

function watch(page, name) {
  page.on('pageerror', (e) => faults.push(`${name}: ${e.stack ?? e}`));
  // Refusals that a step provokes are the browser's own messages.
  page.on('console', (m) => m.type() === 'error' && !m.text().includes('Failed to load resource') && faults.push(`${name}: ${m.text()}`));
  page.on('request', (r) => new URL(r.url()).origin !== new URL(asked.url).origin && !r.url().startsWith('data:') && faults.push(`${name}: a request to ${r.url()}`));
}
async function accessible(page, what) {
  // By the debugger: the page's own policy lets no script in.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: axe });
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')).join(' | '))))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  const violations = JSON.parse(result.value ?? '["axe did not run"]');
  check(violations.length === 0, `${what}: ${violations.join('\n')}`);
}
async function shot(page, name) {
  if (asked.shots) await page.screenshot({ path: `${asked.shots}/${name}.png` });
}
async function logIn(page, credential) {
  await page.goto(asked.url + '/');
  await page.locator('input[type=password]').fill(credential);
  await page.locator('button[type=submit]').click();
}
const text = (page) => page.locator('main').innerText();
async function open(page, hash) {
  await page.evaluate((h) => { location.hash = h; }, hash);
}

const screens = ['wall', 'inbox', 'offline', 'deploys', 'tenants', 'registry', 'uplinks', 'gateway', 'profiles'];

async function asAdministrator() {
  const page = await browser.newPage();
  watch(page, 'admin');
  await logIn(page, 'wrong');
  await page.getByRole('alert').waitFor();
  check((await page.getByRole('alert').innerText()).includes('凭据无效'), 'a wrong credential is told');
  await accessible(page, 'log-in');
  await shot(page, 'login');
  await logIn(page, asked.token);
  await page.locator('.tile').first().waitFor();
  await until(async () => (await page.locator('.tile').count()) > 300, 'all sites');
  await page.locator('.tile', { hasText: 'north' }).first().waitFor();
  check((await page.locator('.dot').count()) > 0, 'lanes as dots');
  check((await page.context().cookies()).every((c) => c.httpOnly && c.sameSite === 'Strict'), 'the cookie is for the browser only');
  check((await page.evaluate(() => document.cookie)) === '', 'a script can read the cookie');
  await accessible(page, 'wall');
  await shot(page, 'wall');
  say('log-in and wall');

  // At 100,000 devices: the first paint, and lists.
  await page.reload();
  await page.locator('.tile').first().waitFor();
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  check(paint < 1000, `the first paint took ${paint} ms`);
  const times = await page.evaluate(async () => {
    const all = [];
    for (let i = 0; i < 60; ++i) {
      const at = performance.now();
      const r = await fetch(`/api/v1/tenants/big-${i % 5}/devices?limit=50&q=${i}`);
      await r.json();
      all.push(performance.now() - at);
    }
    return all.sort((a, b) => a - b);
  });
  check(times[58] < 100, `p98 of lists is ${times[58]} ms`);
  say(`first paint ${Math.round(paint)} ms, lists p50 ${Math.round(times[30])} ms, p98 ${Math.round(times[58])} ms`);

  for (const language of ['zh', 'en']) {
    for (const screen of screens) {
      await open(page, `#/${screen}`);
      await page.locator('main h1').first().waitFor();
      if (['inbox', 'registry'].includes(screen)) {
        await page.locator('main select').first().selectOption('demo');
        await page.locator('main tbody tr').first().waitFor();
      }
      if (screen === 'profiles') {
        await page.locator('main button[type=submit]').click();
        await page.locator('pre', { hasText: '12345' }).waitFor();
      }
      if (screen === 'gateway') await until(async () => (await page.locator('canvas').count()) > 0, 'a chart of rates');
      await accessible(page, `${screen} (${language})`);
      if (language === 'zh') await shot(page, screen);
    }
    await open(page, '#/site/demo/north');
    await page.locator('main tbody tr').first().waitFor();
    await accessible(page, `site (${language})`);
    if (language === 'zh') await shot(page, 'site');
    await open(page, '#/device/demo/in-1');
    await page.locator('svg.timeline').waitFor();
    await page.locator('dl.facts', { hasText: language === 'zh' ? '道闸' : 'barrier' }).waitFor();
    await accessible(page, `device (${language})`);
    await page.locator('nav button', { hasText: language === 'zh' ? 'English' : '中文' }).click();
  }
  say('each screen in both languages');

  // What the device says of vehicles, with the plate, and of its arm.
  await open(page, '#/device/demo/in-1');
  const live = page.locator('section', { hasText: '实时事件' }).locator('li');
  await live.filter({ hasText: /(识别车牌|车辆到达|车辆离开).*[\u4e00-\u9fff][A-Z][A-Z0-9]{4,}/ }).first().waitFor({ timeout: 60_000 });
  await live.filter({ hasText: /道闸 (开|关|正在抬起|正在落下)/ }).first().waitFor({ timeout: 60_000 });
  await accessible(page, 'reports');
  await shot(page, 'device');
  say('reports in words');

  // A command, with its outcome; and by the keyboard alone.
  await page.getByRole('button', { name: '下发指令' }).focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog[open]').waitFor();
  await accessible(page, 'dialog');
  await page.locator('dialog[open] button[type=submit]').click();
  await page.locator('dialog[open]', { hasText: '成功' }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('main table', { hasText: 'admin_token' }).waitFor();
  say('a command was sent and its outcome shown');

  // Closing an uncertain command: the lane's dot is settled too.
  await open(page, '#/wall');
  const dot = page.locator('.dot[title*="哑道闸"]');
  await until(async () => (await dot.getAttribute('class'))?.includes('uncertain'), 'the outcome is unknown');
  check((await text(page)).includes('异常车场'), 'the first line says that a site has a problem');
  await open(page, '#/inbox');
  await page.locator('main select').first().selectOption('demo');
  const row = page.locator('tbody tr', { hasText: '哑道闸' });
  await row.waitFor();
  await row.getByRole('button', { name: '关闭' }).click();
  await page.locator('dialog[open] textarea').fill('已电话确认，杆未抬起');
  await page.locator('dialog[open] button[type=submit]').click();
  await until(async () => (await row.count()) === 0, 'the command leaves the inbox');
  await page.locator('main input[type=checkbox]').check();
  await row.waitFor();
  await open(page, '#/wall');
  await until(async () => (await dot.getAttribute('class'))?.includes('unknown'), 'the closed command is settled on the wall');
  check((await dot.getAttribute('title')).includes('已人工关闭'), 'the dot says who settled it');
  say('an uncertain command was closed by a person');

  // An engine dies while the wall is open.
  await open(page, '#/wall');
  await page.locator('.tile').first().waitFor();
  const killed = await page.evaluate(async () => (await (await fetch('/api/v1/status')).json()).engines.find((e) => e.state === 'serving').pid);
  process.kill(killed, 'SIGKILL');
  await until(async () => {
    const now = await page.evaluate(async () => (await (await fetch('/api/v1/status')).json()).engines.find((e) => e.state === 'serving')?.pid);
    return now && now !== killed;
  }, 'another engine');
  await page.locator('.tile', { hasText: 'north' }).first().waitFor();
  await until(async () => (await page.locator('.banner').count()) === 0, 'the page goes on');
  const tile = page.locator('.tile', { hasText: 'north' }).first();
  check(!(await tile.innerText()).includes('离线'), `a device has gone with the engine: ${await tile.innerText()}`);
  await open(page, '#/deploys');
  await page.locator('tbody tr').first().waitFor();
  const passage = page.locator('tbody tr', { hasText: `engine ${killed}` });
  await passage.waitFor();
  check(/引擎异常退出/.test(await passage.innerText()), `the death of an engine: ${await passage.innerText()}`);
  await until(async () => !(await passage.innerText()).includes('…'), 'the late commands are counted');
  const [held, dropped] = (await passage.locator('td').nth(2).innerText()).split('/').map(Number);
  check(held > 20 && dropped === 0, `${held} connections held, ${dropped} dropped`);
  await accessible(page, 'deploys with a passage');
  await shot(page, 'deploys');
  say('an engine died and the page went on');

  // The whole gateway stands still: the page says that what it shows is old, and goes on.
  await open(page, '#/wall');
  const standing = await page.evaluate(async () => (await (await fetch('/api/v1/status')).json()).pid);
  process.kill(standing, 'SIGSTOP');
  await page.locator('.banner').waitFor({ timeout: 20_000 });
  await shot(page, 'wall-old');
  process.kill(standing, 'SIGCONT');
  await until(async () => (await page.locator('.banner').count()) === 0, 'the gateway is back', 40_000);
  say('the gateway stood still and the page said so');

  await slope(page);
  await phoneAndWall(page);
  const copied = (await page.context().cookies()).map((c) => `${c.name}=${c.value}`).join('; ');
  await page.locator('nav button', { hasText: '退出' }).click();
  await page.locator('input[type=password]').waitFor();
  check((await page.context().cookies()).length === 0, 'the cookie is gone');
  check((await fetch(asked.url + '/api/v1/board', { headers: { Cookie: copied } })).status === 401, 'a copy of the cookie is still good');
  check((await page.evaluate(async () => (await fetch('/api/v1/board')).status)) === 401, 'logged out');
  await page.close();
}

// Memory of an open console: what is left after a collection, at the beginning and at the end.
async function slope(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const used = async () => {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    return metrics.find((m) => m.name === 'JSHeapUsedSize').value;
  };
  const round = async () => {
    for (const screen of ['wall', 'gateway', 'offline', 'site/demo/north', 'device/demo/in-1', 'wall']) {
      await open(page, '#/' + screen);
      await page.locator('main h1').first().waitFor();
      await new Promise((done) => setTimeout(done, 300)); // of the time that is measured
    }
  };
  await round();
  const before = await used();
  for (let i = 0; i < 6; ++i) await round();
  const after = await used();
  check(after < before + 3_000_000, `the heap grew from ${before} to ${after} bytes in 36 changes of the screen`);
  say(`heap ${(before / 1e6).toFixed(1)} MB, after 36 changes of the screen ${(after / 1e6).toFixed(1)} MB`);
  await session.detach();
}

async function phoneAndWall(page) {
  for (const [name, width, height] of [['phone', 390, 844], ['wall-4k', 3840, 2160]]) {
    await page.setViewportSize({ width, height });
    await open(page, '#/wall');
    await page.locator('.tile').first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(wide <= 0, `${name}: ${wide} pixels too wide`);
    await accessible(page, name);
    if (name === 'wall-4k') {
      const seen = await page.evaluate(() => [...document.querySelectorAll('.tile')].filter((e) => e.getBoundingClientRect().bottom <= innerHeight).length);
      check(seen >= 300, `a 4K wall shows ${seen} sites`);
    }
    await shot(page, name);
    for (const screen of ['deploys', 'device/demo/in-1']) {
      await open(page, '#/' + screen);
      await page.locator('main h1').first().waitFor();
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(over <= 0, `${screen} on ${name}: ${over} pixels too wide`);
      if (screen === 'deploys') {
        const cell = page.locator('tbody tr td').nth(1);
        await cell.waitFor();
        const box = await cell.boundingBox();
        check(box.height < 120, `a cell on ${name} is ${box.height} pixels high: broken into letters`);
      } else {
        await page.locator('svg.timeline').waitFor();
        const size = await page.locator('svg.timeline text').first().evaluate((e) => e.getBoundingClientRect().height);
        check(size > 9, `words of the time line on ${name} are ${size} pixels high`);
      }
      await shot(page, `${name}-${screen.split('/')[0]}`);
    }
    await open(page, '#/wall');
    await page.locator('.tile').first().waitFor();
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.locator('nav button', { hasText: '明暗' }).click();
  await accessible(page, 'the other theme');
  await shot(page, 'dark');
  for (const screen of ['deploys', 'gateway', 'device/demo/in-1']) {
    await open(page, '#/' + screen);
    await page.locator('main h1').first().waitFor();
    if (screen === 'deploys') await page.locator('tbody tr').first().waitFor();
    await accessible(page, `${screen} in the other theme`);
    await shot(page, `dark-${screen.split('/')[0]}`);
  }
}

async function asOperator() {
  const page = await browser.newPage();
  watch(page, 'operator');
  await logIn(page, 'guard@demo:look-only');
  await page.locator('.tile').first().waitFor();
  await until(async () => (await page.locator('.tile').count()) === 2, 'the sites of its tenant');
  const nav = await page.locator('nav').innerText();
  check(!nav.includes('上行') && !nav.includes('网关'), `screens of administrators: ${nav}`);
  await open(page, '#/device/demo/in-1');
  await page.locator('svg.timeline').waitFor();
  check((await page.getByRole('button', { name: '下发指令' }).count()) === 0, 'an operator may only look');
  const hidden = page.locator('li', { hasText: '此凭据无权查看完整车牌' }).first();
  await hidden.waitFor({ timeout: 60_000 });
  check(/[\u4e00-\u9fff]…/.test(await hidden.innerText()) && !/[A-Z]\d{4,}/.test(await hidden.innerText()), `a plate that an operator may not see: ${await hidden.innerText()}`);
  await open(page, '#/registry');
  await page.locator('tbody tr').first().waitFor();
  check((await page.getByRole('button', { name: '编辑' }).count()) === 0, 'an operator may only look at records');
  const refused = await page.evaluate(async () => {
    const csrf = (await (await fetch('/api/v1/session')).json()).csrf;
    const post = (headers) => fetch('/api/v1/commands', { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify({ device: 'in-1', type: 'open' }) }).then((r) => r.status);
    return [await post({ 'X-Berth-CSRF': csrf }), await post({}), await post({ 'X-Berth-CSRF': 'wrong' })];
  });
  check(refused.every((s) => s === 403), `a command of an operator: ${refused}`);
  await page.locator('nav button', { hasText: '退出' }).click();
  await page.locator('input[type=password]').waitFor();
  await page.close();
  say('an operator looks only');
}

async function asOtherTenant() {
  const page = await browser.newPage();
  watch(page, 'other tenant');
  await logIn(page, 'theirs@other:their-own');
  await page.locator('.tile').first().waitFor();
  check((await page.locator('.tile').count()) === 1 && (await text(page)).includes('far'), 'sites of others');
  await open(page, '#/device/demo/in-1');
  await page.locator('.state, .banner').first().waitFor();
  check(!(await text(page)).includes('127.0.0.1'), 'a device of others');
  await page.locator('nav button', { hasText: '退出' }).click();
  await page.locator('input[type=password]').waitFor();
  await page.close();
  say('a tenant sees its own');
}

try {
  await asAdministrator();
  await asOperator();
  await asOtherTenant();
  check(faults.length === 0, [...new Set(faults)].slice(0, 10).join('\n'));
  say('the console works');
} catch (e) {
  console.error(e, [...new Set(faults)].slice(0, 10).join('\n'));
  for (const p of browser.pages()) await p.screenshot({ path: (asked.shots ?? '/tmp') + '/console-failed.png' }).catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
}
