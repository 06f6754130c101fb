/**
 * The live page in Express, Fastify, Nest and Hono: each has it under a path, with its files, its stream and what it asks by POST
 * (docs/recipes/page.md).
 */
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Server } from 'node:http'
// #region express
import express from 'express'
import { LeaseManager } from 'leasewheel'
import { page, type PageHandler } from 'leasewheel/page'

export function inExpress(live: PageHandler): express.Express {
  const app = express()
  app.use('/locks', live)
  return app
}
// #endregion express
// #region fastify
import fastify, { type FastifyInstance } from 'fastify'

export function inFastify(live: PageHandler): FastifyInstance {
  const app = fastify()
  // Before Fastify reads the body, which it would refuse or keep.
  app.addHook('onRequest', async (request, reply) => {
    if (!/^\/locks(\/|\?|$)/.test(request.url)) return
    reply.hijack()
    live(request.raw, reply.raw)
  })
  app.addHook('preClose', async () => live.close())
  return app
}
// #endregion fastify
// #region nest
import { type INestApplication, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'

@Module({})
class AppModule {}

export async function inNest(live: PageHandler): Promise<INestApplication> {
  const app = await NestFactory.create(AppModule, { logger: false })
  app.use('/locks', live)
  return app
}
// #endregion nest
// #region hono
import { type HttpBindings, serve } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'

export function inHono(live: PageHandler): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  const show = ({ env }: { env: HttpBindings }): Response => {
    live(env.incoming, env.outgoing)
    return RESPONSE_ALREADY_SENT
  }
  app.all('/locks', show)
  app.all('/locks/*', show)
  return app
}
// #endregion hono

const TOKEN = 'a token of this recipe'
const leases = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379', { owner: 'web-1' })

/** What a browser would do. */
async function visit(name: string, live: PageHandler, port: number): Promise<void> {
  const lease = await leases.acquire(`report:${name}`)
  const url = `http://127.0.0.1:${port}/locks`
  const html = await fetch(url)
  assert.equal(html.url, `${url}/`, 'the slash is added')
  assert.match(await html.text(), /<script type="module" src="page.js">/)
  for (const file of ['page.js', 'page.css', 'icon.svg']) {
    assert.equal((await fetch(`${url}/${file}`)).status, 200, file)
  }

  const ending = new AbortController()
  const stream = await fetch(`${url}/live.sse`, { signal: ending.signal })
  const decoder = new TextDecoder()
  let events = ''
  for await (const chunk of stream.body as AsyncIterable<Uint8Array>) {
    events += decoder.decode(chunk, { stream: true })
    if (events.includes('event: tick')) break
  }
  ending.abort()
  assert.match(events, /"held":1/)

  const { rows } = (await (await fetch(`${url}/locks.json?text=${lease.key}`)).json()) as { rows: { key: string }[] }
  assert.deepEqual(
    rows.map(({ key }) => key),
    [lease.key],
  )
  const release = (token: string): Promise<Response> =>
    fetch(`${url}/release.json`, {
      method: 'POST',
      body: JSON.stringify(rows[0]),
      headers: { 'content-type': 'application/json', 'x-leasewheel-token': token, origin: new URL(url).origin },
    })
  assert.equal((await release('some other secret')).status, 403)
  assert.deepEqual(await (await release(TOKEN)).json(), { released: true })
  assert.equal(await lease.ended, 'lost')
  live.close()
  console.log(`${name}: the page shows and releases a lock`)
}

function portOf(server: { address(): AddressInfo | string | null }): number {
  return (server.address() as AddressInfo).port
}

async function end(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}

const makePage = (): PageHandler => page(leases, { readOnly: false, token: TOKEN })

{
  const live = makePage()
  const server = inExpress(live).listen(0, '127.0.0.1')
  await once(server, 'listening')
  await visit('express', live, portOf(server))
  await end(server)
}
{
  const live = makePage()
  const app = express()
  // Something else has read the body already, and has other routes.
  app.use(express.json(), inExpress(live))
  app.get('/other', (_request, response) => void response.send('other'))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await visit('express with a parser', live, portOf(server))
  assert.equal(await (await fetch(`http://127.0.0.1:${portOf(server)}/other`)).text(), 'other')
  assert.equal((await fetch(`http://127.0.0.1:${portOf(server)}/locks/nothing`)).status, 404)
  await end(server)
}
{
  const live = makePage()
  const app = inFastify(live)
  app.get('/other', async () => 'other')
  await app.listen({ host: '127.0.0.1', port: 0 })
  await visit('fastify', live, portOf(app.server))
  assert.equal(await (await fetch(`http://127.0.0.1:${portOf(app.server)}/other`)).text(), 'other')
  await app.close()
}
{
  const live = makePage()
  const app = await inNest(live)
  await app.listen(0, '127.0.0.1')
  await visit('nest', live, portOf(app.getHttpServer() as Server))
  await app.close()
}
{
  const live = makePage()
  const server = serve({ fetch: inHono(live).fetch, port: 0, hostname: '127.0.0.1' }) as Server
  await once(server, 'listening')
  await visit('hono', live, portOf(server))
  await end(server)
}

await leases.close()
