/** An application that works under a lock until it is told to stop; nest.ts watches it. */
import 'reflect-metadata'
import { setTimeout as sleep } from 'node:timers/promises'
// #region service
import { Inject, Injectable, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { LeaseManager } from 'leasewheel'
import { LeaseModule } from './lease-module.ts'

@Injectable()
export class Invoices {
  readonly #leases: LeaseManager

  constructor(@Inject(LeaseManager) leases: LeaseManager) {
    this.#leases = leases
  }

  send(customer: string): Promise<void> {
    return this.#leases.using(`invoices:${customer}`, ({ signal }) => sendAll(customer, signal), { wait: 5_000 })
  }
}
// #endregion service

async function sendAll(customer: string, signal: AbortSignal): Promise<void> {
  console.log(`sending to ${customer}`)
  await sleep(1_000, undefined, { signal })
  console.log(`sent to ${customer}`)
}

/** Has something to do under a lock when the application ends. */
@Injectable()
class LastWords {
  readonly #leases: LeaseManager

  constructor(@Inject(LeaseManager) leases: LeaseManager) {
    this.#leases = leases
  }

  async onModuleDestroy(): Promise<void> {
    await this.#leases.using('last-words', () => console.log('last words'))
  }
}

// #region main
@Module({ imports: [LeaseModule], providers: [Invoices, LastWords] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule)
app.enableShutdownHooks()
// #endregion main

await app.get(Invoices).send('ACME')
