/** A job that cron starts on several machines at once, and that one of them does. */
// #region job
import { LeaseManager } from 'leasewheel'
import { writeReport } from './report.ts'

const leases = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379', { ttl: 30_000, maxHold: 600_000 })
leases.on('error', (error) => console.error(error))
try {
  await leases.using('job:report', ({ signal }) => writeReport(signal), { wait: 0 })
} catch (error) {
  if ((error as { code?: string }).code !== 'ERR_NOT_ACQUIRED') throw error
  console.log('another machine does it')
} finally {
  await leases.close()
}
// #endregion job
