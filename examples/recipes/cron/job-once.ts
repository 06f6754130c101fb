/** The same for machines whose clocks differ: the key outlives the job, until the last machine has asked. */
// #region job
import { LeaseManager } from 'leasewheel'
import { writeReport } from './report.ts'

const leases = new LeaseManager(process.env.REDIS_URL ?? 'redis://localhost:6379')
leases.on('error', (error) => console.error(error))
try {
  await leases.using('job:report', ({ signal }) => writeReport(signal), { wait: 0, atLeast: 60_000 })
} catch (error) {
  if ((error as { code?: string }).code !== 'ERR_NOT_ACQUIRED') throw error
  console.log('another machine does it, or has done it')
} finally {
  await leases.close()
}
// #endregion job
