/** The live page of the demo, on a free port of this machine. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { LeaseManager } from 'leasewheel'
import { page } from 'leasewheel/page'

export interface LivePage {
  readonly url: string
  close(): Promise<void>
}

export async function openPage(leases: LeaseManager): Promise<LivePage> {
  const live = page(leases, { title: 'leasewheel demo' })
  const server = createServer(live)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      live.close()
      server.close()
      server.closeIdleConnections()
      await once(server, 'close')
    },
  }
}
