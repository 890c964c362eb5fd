// The server of images, from its start until a signal ends it.
//
// 1. SIGTERM and SIGINT end it after the running answers; a second one ends it at once.
// 2. SIGHUP reads certificate, tokens and access log again. A file that cannot be used leaves the old one in effect.

import HTTPServer
import Images
import Platform

/// Serves boot files, documents and pages of a store.
public final class ImageServer: Sendable {
  private let options: ServeOptions
  private let addresses: [ListenAddress]
  private let server: RunningServer
  private let log: AccessLog?
  private let rendered: RenderedFiles
  private let report: @Sendable (String) -> Void

  /// Starts to listen.
  /// - Parameter report: receives messages, one line each.
  /// - Throws: `ServerError` if the options are unsafe, or an address, certificate or token file cannot be used;
  ///   `SystemError`.
  public init(
    _ options: ServeOptions, _ opener: WorkspaceOpener, report: @escaping @Sendable (String) -> Void
  ) throws {
    self.options = options
    self.report = report
    addresses = try options.listenAddresses(sockets: ServiceManager.takeSockets())
    var configuration = ServerConfiguration(addresses)
    configuration.limits = options.limits
    configuration.access = try options.access(addresses)
    configuration.tls = options.tls.map { TLSFiles(certificate: $0.certificate, key: $0.key) }
    configuration.routeName = ServerRoutes.name
    let log = try options.accessLog.map { try AccessLog(path: $0 == "-" ? nil : $0, warn: report) }
    self.log = log
    if let log { configuration.log = { log.add($0) } }
    for warning in options.warnings(addresses) { report("warning: \(warning)") }
    var limits = RenderedFiles.Limits()
    if let limit = options.cacheLimitBytes { limits.sizeBytes = limit }
    rendered = try RenderedFiles(
      directory: try options.cacheDirectory ?? opener.open().renderedFilesDirectory(),
      limits: limits, warn: report)
    let routes = ImageServer.routes(options, opener, rendered, configuration, report)
    server = try RunningServer(configuration, routes.handler)
    let count = QueueLength { [server] in server.queuedRequests }
    routes.queued.withLock { $0 = count }
  }

  /// The addresses that it listens at, as URLs.
  public var urls: [String] {
    server.addresses.map { "\(options.tls == nil ? "http" : "https")://\($0)/" }
  }

  /// Holds a closure. A closure in a `Monitor` would get another wrapper by each reading.
  private final class QueueLength: Sendable {
    let count: @Sendable () -> Int
    init(_ count: @escaping @Sendable () -> Int) { self.count = count }
  }

  private static func routes(
    _ options: ServeOptions, _ opener: WorkspaceOpener, _ rendered: RenderedFiles,
    _ configuration: ServerConfiguration, _ report: @escaping @Sendable (String) -> Void
  ) -> (handler: ServerRoutes, queued: Monitor<QueueLength>) {
    let queued = Monitor(QueueLength { 0 })
    let counters = configuration.counters
    let serverMetrics: @Sendable () -> String = {
      ServerMetrics.text(counters.values, rendered.counts, queued: queued.withLock { $0 }.count())
    }
    let contents = FileContents()
    var routes = ServerRoutes(
      boot: BootRoutes(opener, files: rendered, usesTLS: options.tls != nil),
      api: APIRoutes(opener, contents: contents),
      metrics: MetricsHandler(opener, server: serverMetrics, warn: report),
      health: HealthHandler(opener, warn: report), pages: PageRoutes(opener, contents: contents),
      isBootPublic: options.isBootPublic)
    switch configuration.access {
    case .open, .tokens: break
    case .closed:
      routes.refusal = .text(.forbidden, "only boot files are served here, below /boot/")
    case .loopback:
      routes.refusal = .text(
        .forbidden,
        "without a token, this server answers only requests for localhost or a loopback address")
    }
    return (routes, queued)
  }

  /// Serves until a signal asks for the end.
  public func run() {
    let signals = Monitor<[Int32]>([])
    let receive: @Sendable (Int32, Bool) -> Void = { signal, _ in
      signals.update { $0.append(signal) }
    }
    Interruption.passingSignals(to: receive) {
      ServiceManager.notify("READY=1\nSTATUS=Listening at \(urls.joined(separator: " "))")
      while signals.wait({ $0.isEmpty ? nil : $0.removeFirst() }) == ImageServer.hangup { reload() }
      ServiceManager.notify("STOPPING=1")
      stop(signals)
    }
  }

  private static let hangup: Int32 = 1

  /// Ends the server; a further signal ends the wait for running answers.
  private func stop(_ signals: Monitor<[Int32]>) {
    report("stopping after the running answers; a second signal ends the program at once")
    let done: Int32 = 0
    let started: Void? = try? startDetachedThread { [server, log, rendered] in
      server.stop()
      rendered.stop()
      log?.stop()
      signals.update { $0.insert(done, at: 0) }
    }
    if started == nil { return }
    while signals.wait({ $0.isEmpty ? nil : $0.removeFirst() }) == ImageServer.hangup {}
  }

  private func reload() {
    ServiceManager.notifyReloading()
    log?.reopen()
    do {
      try server.reloadTLS()
      if options.tokenFile != nil { server.setAccess(try options.access(addresses)) }
      report("read certificate and tokens again")
    } catch {
      report("warning: the old certificate and tokens stay in effect: \(describe(error))")
    }
    ServiceManager.notify("READY=1")
  }
}
