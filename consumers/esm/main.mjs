import * as ioredis from 'ioredis'
import * as leasewheel from 'leasewheel'
import * as memory from 'leasewheel/memory'
import * as quorum from 'leasewheel/quorum'
import { scenario } from '../scenario.cjs'

await scenario({ ioredis, leasewheel, memory, quorum }, process.env.REDIS_URL)
