/** What the host offers beside computing, as the packages need it that read files or download them. */
export { builtin, cacheFolder, hasFiles, makeFolder } from './host/files.ts'
export { isDiskError, mayPass, pause, type Requested, reasonOf, request, Watch, wholeNumber } from './host/network.ts'
