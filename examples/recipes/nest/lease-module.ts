/** Gives every module that imports it the manager of this process, and closes it when the application ends. */
// #region module
import { Inject, Logger, Module, type OnModuleDestroy } from '@nestjs/common'
import { LeaseManager } from 'leasewheel'

@Module({ providers: [{ provide: LeaseManager, useFactory: createLeases }], exports: [LeaseManager] })
export class LeaseModule implements OnModuleDestroy {
  readonly #leases: LeaseManager

  constructor(@Inject(LeaseManager) leases: LeaseManager) {
    this.#leases = leases
  }

  async onModuleDestroy(): Promise<void> {
    await this.#leases.close({ drain: 10_000, timeout: 5_000 })
  }
}

function createLeases(): LeaseManager {
  const logger = new Logger('leases')
  const leases = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379', { ttl: 30_000 })
  leases.on('lost', ({ lease, reason }) => logger.warn(`lost ${lease.key}: ${reason}`))
  leases.on('error', (error) => logger.error(error))
  return leases
}
// #endregion module
