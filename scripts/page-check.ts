/**
 * `npm run page-check`: opens the live page in a real Chromium, and checks what a person would: figures, search, one lock, its release, other origins,
 * keys that are no text, light, dark and narrow. `-- --screenshots FOLDER` keeps the pictures; `-- --docs` writes docs/page.png.
 *
 * It takes the Chromium that `$CHROMIUM` names, otherwise that of the system, and installs none.
 */
import { strict as assert } from 'node:assert'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { LeaseManager } from 'leasewheel'
import { page as livePage } from 'leasewheel/page'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { withRedis } from '../test/support/redis-server.ts'
import { until } from '../test/support/until.ts'
import { longestTask } from './longest-task.ts'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
]
const TOKEN = 'a token of the page-check'
const SOME = 10_000
const MANY = 100_000
/** ms that one update of the page may block it. */
const BLOCKING = 30
const EVIL = '<script>window.broken = true</script><img src=x onerror="window.broken = true">'
const ODD = Buffer.from([0x6f, 0x64, 0x64, 0x3a, 0xff, 0xfe, 0x0a, 0x22])

/**
 * What a page of another origin may try: to release, to read, to watch, and to send what needs no permission but cannot be read. As text, because a
 * function may not be compiled for this process.
 */
const ATTEMPTS = `(async () => {
  const body = JSON.stringify({ key: 'order:1', bytes: null, owner: null, since: null })
  const headers = { 'content-type': 'application/json', 'x-leasewheel-token': 'TOKEN' }
  const attempt = (path, init) =>
    fetch('URL' + path, init).then(({ type, status }) => type + ' ' + status, () => 'refused')
  return [
    await attempt('release.json', { method: 'POST', body, headers }),
    await attempt('locks.json', {}),
    await attempt('live.sse', {}),
    await attempt('release.json', { method: 'POST', body, mode: 'no-cors' }),
  ]
})()`

/** What is checked. */
interface Scene {
  readonly browser: Browser
  readonly leases: LeaseManager
  readonly redis: Redis
  readonly url: string
  readonly readOnlyUrl: string
  readonly foreignUrl: string
  readonly folder: string
}

async function serve(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

function say(what: string): void {
  console.log(`✔ ${what}`)
}

/** A tab that reports what should not happen: errors, refused styles and scripts, requests to anywhere else. */
async function openPage(context: BrowserContext, url: string, faults: string[]): Promise<Page> {
  const tab = await context.newPage()
  tab.on('pageerror', (error) => faults.push(String(error)))
  tab.on('console', (message) => {
    // Refused requests are part of the check.
    if (message.type() === 'error' && !message.text().includes('403')) faults.push(message.text())
  })
  tab.on('request', (request) => {
    if (!request.url().startsWith(url.replace(/#.*/, ''))) faults.push(`a request to ${request.url()}`)
  })
  await tab.goto(url)
  return tab
}

function textOf(tab: Page, selector: string): Promise<string> {
  return tab.locator(selector).innerText()
}

async function checkFigures(tab: Page): Promise<void> {
  await until('the page shows what is held', async () => (await textOf(tab, '.figure .value >> nth=0')) === '10,001')
  assert.equal(await tab.locator('.figure canvas').count(), 5)
  assert.equal(await textOf(tab, '#state'), 'connected')
  await until('both managers are there', async () => (await tab.locator('#members tr').count()) === 2)
  say('10,000 leases, curves and managers show')
}

async function checkSearch(tab: Page): Promise<void> {
  await tab.keyboard.press('/')
  await tab.keyboard.type('order:4711')
  await tab.keyboard.press('Enter')
  await until('the lock is found', async () => (await textOf(tab, '#locks tr:first-child .key')) === 'order:4711')
  await until('the search is over', async () => (await textOf(tab, '#locks-note')).startsWith('1 lock,'))
  await tab.locator('#locks button').first().focus()
  await tab.keyboard.press('Enter')
  await until('its story shows', async () => (await textOf(tab, '#story-facts')).includes('Lease here'))
  const facts = await textOf(tab, '#story-facts')
  assert.match(facts, /Held by\nweb-1/)
  assert.match(facts, /Fence\n\d{10,}/)
  say('a lock is found and opened by keyboard alone')
}

async function checkRelease(tab: Page, { leases }: Scene): Promise<void> {
  await tab.getByRole('button', { name: 'Release …' }).click()
  assert.match(await textOf(tab, '#confirm-text'), /^web-1 has held it for /)
  const release = tab.locator('#confirm').getByRole('button', { name: 'Release' })
  await release.click()
  await until('a missing token is refused', async () => (await textOf(tab, '#confirm-note')) === 'The token is wrong')
  await tab.locator('#token').fill('some other secret')
  await release.click()
  await until('a wrong token is refused', async () => (await textOf(tab, '#confirm-note')) === 'The token is wrong')
  assert.equal(leases.get('order:4711')?.held, true)
  await tab.locator('#token').fill(TOKEN)
  await release.click()
  await until('the lock is free', async () => (await textOf(tab, '#story-note')) === 'Released.')
  await until('the story says so', async () => (await textOf(tab, '#story-facts')).includes('nobody'))
  assert.equal(leases.get('order:4711'), undefined)
  await tab.keyboard.press('Escape')
  await until('the loss shows', async () => (await textOf(tab, '#losses tr:first-child')).includes('order:4711'))
  assert.match(await textOf(tab, '#losses tr:first-child'), /missing: somebody deleted the key/)
  say('a lock is released behind a question and a token, and its loss shows')
}

async function search(tab: Page, text: string): Promise<void> {
  await tab.locator('#search input[name=text]').fill(text)
  await tab.keyboard.press('Enter')
  await until(`the search for ${text} is over`, async () => / at /.test(await textOf(tab, '#locks-note')))
}

async function checkOddKeys(tab: Page, { redis }: Scene): Promise<void> {
  await search(tab, 'script>')
  assert.equal(await textOf(tab, '#locks .key'), EVIL)
  await tab.locator('#locks button').first().click()
  assert.equal(await textOf(tab, '#story-key'), EVIL)
  await tab.keyboard.press('Escape')
  assert.equal(await tab.evaluate(`'broken' in window`), false)
  assert.equal(await tab.locator('script').count(), 1)
  assert.equal(await tab.locator('main img').count(), 0)
  say('a script in a key is text')
  await search(tab, 'odd:*')
  assert.equal(await textOf(tab, '#locks .key'), 'odd:\\xff\\xfe\\n"')
  await tab.locator('#locks button').first().click()
  await tab.getByRole('button', { name: 'Release …' }).click()
  await tab.locator('#confirm').getByRole('button', { name: 'Release' }).click()
  await until(
    'the odd key is gone',
    async () => (await redis.exists(Buffer.concat([Buffer.from('lease:'), ODD]))) === 0,
  )
  await until('the page says so', async () => (await textOf(tab, '#story-note')) === 'Released.')
  await tab.keyboard.press('Escape')
  say('a key that is no text is shown and released')
}

async function checkStrangers(context: BrowserContext, { url, readOnlyUrl, foreignUrl, leases }: Scene): Promise<void> {
  const tab = await context.newPage()
  await tab.goto(foreignUrl)
  const outcomes = await tab.evaluate<string[]>(ATTEMPTS.replace('URL', url).replace('TOKEN', TOKEN))
  assert.deepEqual(outcomes.slice(0, 3), ['refused', 'refused', 'refused'])
  assert.equal(leases.get('order:1')?.held, true)
  const missing = await fetch(`${url}release.json`, {
    method: 'POST',
    body: JSON.stringify({ key: 'order:1' }),
    headers: { 'content-type': 'application/json', origin: url.slice(0, -1) },
  })
  assert.equal(missing.status, 403)
  await tab.goto(readOnlyUrl)
  await tab.locator('#locks button').first().click()
  await until('the story shows', async () => (await textOf(tab, '#story-facts')).includes('Held by'))
  assert.equal(await tab.getByRole('button', { name: 'Release …' }).count(), 0)
  await tab.close()
  say('other origins and missing tokens are refused; a read-only page has no release')
}

async function checkMany(tab: Page, { leases, browser }: Scene): Promise<void> {
  const more = MANY - leases.size
  await leases.acquireMany(Array.from({ length: more }, (_, index) => `many:${index}`))
  const last = `many:${more - 1}`
  await search(tab, '')
  await until('all show', async () => (await textOf(tab, '.figure .value >> nth=0')) === '100,000')
  await tab.locator('#next').click()
  await until('the second page shows', async () => (await textOf(tab, '#locks-note')).startsWith('26 to 50 of more'))
  await tab.locator('#previous').click()
  const startedAt = performance.now()
  await search(tab, last)
  assert.equal(await textOf(tab, '#locks tr:first-child .key'), last)
  const took = Math.round(performance.now() - startedAt)
  await search(tab, '')
  const longest = await longestTask(browser, tab, () => sleep(12_000))
  assert.ok(longest < BLOCKING, `an update blocked the page for ${longest.toFixed(1)} ms`)
  say(`with 100,000 leases a search takes ${took} ms, and updates block the page for ${longest.toFixed(1)} ms at most`)
}

async function takePictures(tab: Page, folder: string, docs: boolean): Promise<void> {
  const shoot = async (name: string, colorScheme: 'light' | 'dark', width: number, height: number): Promise<void> => {
    await tab.emulateMedia({ colorScheme })
    await tab.setViewportSize({ width, height })
    // An update, after which the curves have their size and colours.
    await sleep(1_500)
    assert.ok(await tab.evaluate('document.documentElement.scrollWidth <= innerWidth'), `${name} is too wide`)
    await tab.screenshot({ path: join(folder, `${name}.png`), fullPage: name !== 'light-story' })
  }
  await shoot('light', 'light', 1_280, 900)
  await shoot('dark', 'dark', 1_280, 900)
  await shoot('narrow', 'light', 390, 844)
  await shoot('narrow-dark', 'dark', 390, 844)
  await tab.setViewportSize({ width: 1_280, height: 900 })
  await tab.locator('#locks button').first().click()
  await shoot('light-story', 'light', 1_280, 900)
  await tab.keyboard.press('Escape')
  if (docs) {
    await tab.setViewportSize({ width: 1_100, height: 760 })
    await sleep(1_500)
    await tab.screenshot({ path: resolve(import.meta.dirname, '../docs/page.png') })
  }
  say(`pictures in ${folder}`)
}

async function play(scene: Scene, docs: boolean): Promise<void> {
  const { browser, leases, redis, url, folder } = scene
  const faults: string[] = []
  const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, locale: 'en-GB' })
  await leases.acquireMany([...Array.from({ length: SOME }, (_, index) => `order:${index}`), EVIL])
  await redis.set(Buffer.concat([Buffer.from('lease:'), ODD]), 'somebody')
  const tab = await openPage(context, url, faults)
  await checkFigures(tab)
  await checkSearch(tab)
  await checkRelease(tab, scene)
  await checkOddKeys(tab, scene)
  await checkStrangers(context, scene)
  // Some more of them, for the pictures.
  await redis.del(...[17, 170, 1_700].map((index) => `lease:order:${index}`))
  const waiting = [1, 2, 3].map(() => leases.acquire('order:5', { wait: 600_000 }).catch(() => undefined))
  await search(tab, '')
  await takePictures(tab, folder, docs)
  await checkMany(tab, scene)
  assert.deepEqual(faults, [])
  say('no error, and no request to anywhere else')
  await context.close()
  await leases.close()
  await Promise.all(waiting)
}

async function main(program: string, screenshots: string | undefined, docs: boolean): Promise<void> {
  const folder = screenshots ?? mkdtempSync(join(tmpdir(), 'leasewheel-page-'))
  mkdirSync(folder, { recursive: true })
  await withRedis(async ({ url: redisUrl }) => {
    const leases = new LeaseManager(redisUrl, { owner: 'web-1', announce: true })
    const others = new LeaseManager(redisUrl, { owner: 'web-2', announce: true })
    const redis = new Redis(redisUrl)
    const handlers = [livePage(leases, { readOnly: false, token: TOKEN, title: 'shop: locks' }), livePage(leases)]
    const servers = [
      ...handlers.map((handler) => createServer((request, response) => handler(request, response))),
      createServer((_, response) => response.setHeader('content-type', 'text/html').end('<title>another site</title>')),
    ]
    const [url = '', readOnlyUrl = '', foreignUrl = ''] = await Promise.all(servers.map(serve))
    const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox'] })
    try {
      await others.acquireMany(Array.from({ length: 40 }, (_, index) => `report:${index}`))
      await play({ browser, leases, redis, url, readOnlyUrl, foreignUrl, folder }, docs)
    } finally {
      await browser.close()
      await Promise.all([leases.close(), others.close()])
      redis.disconnect()
      for (const handler of handlers) handler.close()
      for (const server of servers) server.close()
    }
  })
}

const { values } = parseArgs({
  options: { screenshots: { type: 'string' }, docs: { type: 'boolean', default: false } },
})
const program = process.env['CHROMIUM'] ?? PLACES.find((place) => existsSync(place))
if (program === undefined || !existsSync(program)) {
  console.error('There is no Chromium: install one (on Debian `apt-get install chromium`), or name one by $CHROMIUM.')
  process.exitCode = 1
} else {
  await main(program, values.screenshots, values.docs)
}
