/** Every size has a limit; this is the list. Never: behaviour. Units are last in each name. */
export const limits = {
  specBytes: 1024 * 1024,
  /** YAML nodes after aliases are resolved (stops alias bombs). */
  specNodes: 50_000,
  specSteps: 500,
  messageBytes: 64 * 1024 * 1024,
  /** JSON that comes over HTTP: a spec, and what it names beside it. */
  httpBodyBytes: 2 * 1024 * 1024,
  httpConnections: 1_000,
  blobPartBytes: 1024 * 1024,
  blobBytes: 8 * 1024 * 1024 * 1024,
  footerBytes: 256 * 1024 * 1024,
  filesPerSource: 1_000_000,
  columnsPerFile: 20_000,
  attemptsPerTask: 100,
  /** Times a finished chunk may be found lost or corrupt in one job. */
  lossesPerChunk: 5,
  workersConnected: 10_000,
  slotsPerWorker: 256,
  /** Rows of each source that a preview looks at, at least. */
  previewRows: 2048,
  /** A row group of up to this many rows is one chunk … */
  chunkRowsWhole: 128 * 1024,
  /** … a larger one is cut every so many rows. */
  chunkRowsCut: 64 * 1024,
  /** Rows that a chunk of a wide stage takes at most, where row groups allow it … */
  wideChunkRows: 4 * 1024 * 1024,
  /** … and files of up to so many rows are not cut where that spares an exchange. */
  wideFileRows: 16 * 1024 * 1024,
  /** Their numbers have 16 bits. */
  partitionsPerExchange: 65_536,
  taskBytes: 128 * 1024 * 1024,
  batchSize: 1_000_000,
} as const;
