/** `page`: serves the live page about locks and managers that are all elsewhere. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import { EXIT } from './arguments.ts'
import { addressOf } from './connect.ts'
import type { Session } from './session.ts'
import { safe } from './text.ts'

/** An arbitrary port that no well-known service has. */
const USUAL_PORT = 7390

export async function page(session: Session): Promise<number> {
  const { args, leases, out, signal } = session
  const { page: livePage } = await import('leasewheel/page')
  const token = args.readWrite ? randomBytes(18).toString('base64url') : undefined
  const handler = livePage(leases, {
    view: 'members',
    readOnly: !args.readWrite,
    token,
    hosts: hostsOf(args.host),
    title: `leasewheel ${safe(addressOf(args))}`,
  })
  const server = createServer((request, response) => handler(request, response))
  const port = await listen(server, args.host, args.port)
  const url = `http://${isIPv6(args.host) ? `[${args.host}]` : args.host}:${port}/${token ? `#token=${token}` : ''}`
  await out.line(args.json ? JSON.stringify({ url }) : `The page is at ${url}`)
  if (!signal.aborted) await once(signal, 'abort')
  handler.close()
  server.close()
  server.closeAllConnections()
  return EXIT.done
}

/** The name by which it is reached, unless it is one that always works. */
function hostsOf(host: string): string[] {
  return URL.canParse(`http://${host}`) ? [new URL(`http://${host}`).hostname] : []
}

/** @param port undefined: the usual one, or any if that is taken. @returns the port. @throws if it cannot be had. */
async function listen(server: Server, host: string, port: number | undefined): Promise<number> {
  try {
    server.listen(port ?? USUAL_PORT, host)
    await once(server, 'listening')
  } catch (error) {
    if (port !== undefined || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    server.listen(0, host)
    await once(server, 'listening')
  }
  return (server.address() as AddressInfo).port
}
