// Opens depots: buckets of an S3 service.
//
// 1. The keys come from the files and variables of the AWS tools, never from the store or the command line.
// 2. Nothing is written to a service that was not examined: one that ignores conditions of writes could lose
//    snapshots of several machines.
// 3. The caches of a depot are in the store's directory `cache`, and may be deleted at any time.

import Depot
import ObjectStorage
import Platform
import Recipes
import S3
import Settings
import Store
import Transfer

/// Opens the depots of remotes.
struct DepotConnector: Collaborator {
  let context: Context
  private static let cacheName = "depots"
  private static let markerName = "examined"

  /// Returns a connection to a depot.
  /// - Parameter create: whether an empty bucket becomes a depot.
  func connect(_ remote: Remote, create: Bool) throws -> RemoteConnection {
    let storage = try storage(of: remote)
    let depot: Depot
    do {
      depot = try Depot(opening: storage, try options(remote))
    } catch let error as any ExplainedError where create && error.errorCode == .notFound {
      try requireSuitable(storage)
      depot = try Depot(creatingIn: storage, try options(remote))
      noteExamined(depot)
    }
    var connection = RemoteConnection(remote, source: DepotSource(depot)) {
      try requireExamined(depot, storage)
      return DepotSink(depot)
    }
    connection.probe = { DepotConnector.items(storage.probe()) }
    return connection
  }

  /// Opens the depot of a remote, for commands that maintain it.
  /// - Throws: `ImageError` (`usage`) if the remote is another store.
  func depot(_ name: String) throws -> Depot {
    let remote = try RemoteRegistry(context).remote(name)
    guard case .s3 = remote.url else {
      throw ImageError(
        .usage, "remote \(remote.name)", "is a store, not a depot",
        hint: "Run the command on that machine, or with --store for a directory")
    }
    return try Depot(opening: try storage(of: remote), try options(remote))
  }

  /// Examines the service of a remote that cannot be opened yet.
  func probe(_ remote: Remote) throws -> [RemoteCheckItem] {
    DepotConnector.items(try storage(of: remote).probe())
  }

  private func storage(of remote: Remote) throws -> S3Storage {
    guard case .s3(let bucket, let prefix) = remote.url,
      let url = S3URL(bucket: bucket, prefix: prefix)
    else { throw ImageError(.usage, "remote \(remote.url)", "is not a bucket") }
    let settings = remote.settings
    var options = S3Settings.Options()
    options.endpoint = settings.endpoint?.value
    options.region = settings.region?.value
    options.addressing = settings.pathStyle.map { $0.value ? .path : .virtual }
    options.profile = settings.profile?.value
    options.caBundle = settings.caFile?.value
    options.isInsecure = settings.isInsecure?.value ?? false
    options.requestsAtOnce = settings.requests?.value
    var variables = context.options.environment
    if let file = settings.credentials?.value {
      // A profile that an option names precedes the keys in variables.
      variables["AWS_SHARED_CREDENTIALS_FILE"] = file
      options.profile = options.profile ?? "default"
    }
    let storage = S3Storage(
      try S3Settings.find(
        url, options: options,
        origin: S3Settings.Origin(variables: variables, fileSystem: context.fileSystem)))
    if let warning = storage.warning { context.reporter.warn(warning) }
    return storage
  }

  private func options(_ remote: Remote) throws -> DepotOptions {
    var options = DepotOptions()
    options.fileSystem = context.fileSystem
    options.localStore = try context.storeIfPresent()
    options.cachePath = options.localStore.flatMap { context.cachePath(of: $0) }
      .map { $0 + Array("/\(DepotConnector.cacheName)".utf8) }
    options.temporaryPath = Array((context.options.environment["TMPDIR"] ?? "/var/tmp").utf8)
    options.reconstructor = PlanReconstructor()
    if let requests = remote.settings.requests?.value { options.requestCount = requests }
    return options
  }

  private var cachePath: [UInt8] {
    context.storePath + Array("/cache/\(DepotConnector.cacheName)".utf8)
  }

  // MARK: Examination

  /// Examines the service of a depot before this machine first writes to it.
  private func requireExamined(_ depot: Depot, _ storage: S3Storage) throws {
    let fileSystem = context.fileSystem
    let marker = cachePath + Array("/\(depot.id)/\(DepotConnector.markerName)".utf8)
    if try fileSystem.statIfPresent(
      at: fileSystem.workingDirectory, marker, followLink: false) != nil
    {
      return
    }
    try requireSuitable(storage)
    noteExamined(depot)
  }

  /// Leaves a marker in the cache. Without it, the service is examined again.
  private func noteExamined(_ depot: Depot) {
    let fileSystem = context.fileSystem
    guard let store = try? context.storeIfPresent(),
      let cache = try? fileSystem.openDirectory(
        at: store.layout.cache.raw, Array(DepotConnector.cacheName.utf8)),
      let directory = try? fileSystem.openDirectory(at: cache.raw, Array("\(depot.id)".utf8))
    else { return }
    try? fileSystem.replaceFile(at: directory.raw, Array(DepotConnector.markerName.utf8), with: [])
  }

  private func requireSuitable(_ storage: S3Storage) throws {
    if let error = storage.probe().error { throw error }
  }

  private static func items(_ report: ProbeReport) -> [RemoteCheckItem] {
    report.checks.map { check in
      let state: RemoteCheckState
      switch check.outcome {
      case .ok, .warning: state = .passed
      case .failed: state = .failed
      case .skipped: state = .skipped
      }
      return RemoteCheckItem(
        check.name.rawValue, state,
        check.detail.isEmpty ? (check.error?.message ?? "") : check.detail,
        hint: check.error?.hint ?? "")
    }
  }
}
