// imgstore serve.

import ArgumentParser
import Glibc
import Images
import Server

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve boot files and snapshots over HTTP",
    discussion: """
      Nodes load kernel, ramdisk and root image from /boot/IMAGE@REF/. Programs read /api/v1/, and people the web \
      page at /. The server changes nothing in the store.

      The section [serve] of the configuration has a setting for each option.

      Without --token-file, only this machine can connect; with --public-boot, others get boot files and nothing \
      else. A client sends its token as 'Authorization: Bearer TOKEN', or a browser as the password.

      SIGHUP reads certificate and tokens again. SIGTERM ends the server after the running answers. Under systemd, \
      it uses the sockets of imgstore-serve.socket.

      'push', 'pull' and 'clone' with an ssh:// URL start 'serve --stdio' on the other host. A forced command in \
      authorized_keys limits an account to it. With --store, --read-only or --append-only, clients cannot choose \
      another store.

      Examples (each runs until a signal ends it):
        imgstore serve
        imgstore serve --listen 10.0.0.1:7070 --public-boot
        imgstore serve --token-file /etc/imgstore/tokens --tls cert.pem key.pem

      Examples (lines of ~/.ssh/authorized_keys):
        restrict,command="imgstore serve --stdio --store /srv/imgstore --read-only" ssh-ed25519 AAAA…
        restrict,command="imgstore serve --stdio --store /srv/imgstore --append-only" ssh-ed25519 AAAA…
      """)

  @Option(
    help: ArgumentHelp(
      "Listen at this address; repeatable (default \(ServeOptions.standardAddress))",
      valueName: "addr:port"))
  var listen: [String] = []
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Use TLS with this certificate and key, two PEM files", valueName: "cert> <key"))
  var tls: [String] = []
  @Option(help: ArgumentHelp("Accept the tokens of this file, one a line", valueName: "file"))
  var tokenFile: String?
  @Flag(help: "Serve boot files to clients without a token") var publicBoot = false
  @Option(
    help: ArgumentHelp("Serve the images of this remote through the local cache", valueName: "name")
  )
  var remote: String?
  @Option(help: ArgumentHelp("Keep rendered files in this directory", valueName: "directory"))
  var cache: String?
  @Option(help: ArgumentHelp("Keep at most so much of rendered files (32GiB)", valueName: "size"))
  var cacheLimit: String?
  @Option(
    help: ArgumentHelp(
      "Append a JSON line for each answer; '-' for standard output", valueName: "file"))
  var accessLog: String?
  @Flag(help: "Serve one client of 'push' or 'pull' on standard input and output") var stdio = false
  @Flag(help: "With --stdio, let clients read, and add nothing") var readOnly = false
  @Flag(help: "With --stdio, let clients push, and delete, overwrite or move nothing")
  var appendOnly = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if readOnly, appendOnly {
      throw ValidationError("Give --read-only or --append-only, not both.")
    }
    if !stdio, readOnly || appendOnly {
      throw ValidationError("--read-only and --append-only need --stdio. HTTP clients only read.")
    }
    let hasHTTPOption =
      !listen.isEmpty || !tls.isEmpty || tokenFile != nil || publicBoot || remote != nil
      || cache != nil || cacheLimit != nil || accessLog != nil
    if stdio, hasHTTPOption {
      throw ValidationError("--stdio takes no options of the HTTP server.")
    }
    guard tls.isEmpty || tls.count == 2 else {
      throw ValidationError("--tls needs two files: the certificate and its key.")
    }
    _ = try cacheLimitBytes()
  }

  func run() throws {
    guard stdio else { return try serveHTTP() }
    guard isatty(0) == 0 else {
      throw ValidationError(
        "Standard input is a terminal. 'push' and 'pull' on another machine start this command.")
    }
    let rights: ServeRequest.Rights = readOnly ? .readOnly : appendOnly ? .appendOnly : .full
    let request = ServeRequest(
      rights: rights, allowsOtherStores: rights == .full && !common.namesStore)
    try common.open().serveStdio(request)
  }

  private func serveHTTP() throws {
    Interruption.ignoreClosedPipes()
    let options = try serveOptions()
    let remote = try remote ?? common.configuration().serve.remote?.value
    let workspaceOptions = try checkedOptions(
      remote: remote, cacheDirectory: options.cacheDirectory)
    let opener = WorkspaceOpener(workspaceOptions, remote: remote) { Terminal.warning($0) }
    let server = try ImageServer(options, opener) { Terminal.remark($0) }
    Terminal.finish()
    if !common.quiet {
      Terminal.remark("serving \(workspaceOptions.store) at \(server.urls.joined(separator: " "))")
    }
    server.run()
  }

  /// Opens the store once, so that a missing one fails before anybody is served. A workspace that stayed open would
  /// make gc wait.
  private func checkedOptions(
    remote: String?, cacheDirectory: String?
  ) throws -> WorkspaceOptions {
    let workspace = try common.open(announcesNewStore: false)
    if remote == nil { _ = try workspace.store() }
    var options = workspace.options
    options.fallbackCache =
      try (cacheDirectory ?? workspace.renderedFilesDirectory()) + "/store"
    return options
  }

  /// Returns the options of the command line, and for others the settings of the configuration.
  private func serveOptions() throws -> ServeOptions {
    let settings = try common.configuration().serve
    var options = ServeOptions()
    options.addresses = listen.isEmpty ? settings.listen?.value ?? [] : listen
    if tls.count == 2 {
      options.tls = (tls[0], tls[1])
    } else if let certificate = settings.certificate, let key = settings.key {
      options.tls = (certificate.value, key.value)
    }
    options.tokenFile = tokenFile ?? settings.tokenFile?.value
    options.isBootPublic = publicBoot || settings.isBootPublic?.value ?? false
    options.cacheDirectory = cache ?? settings.cache?.value
    options.cacheLimitBytes = try cacheLimitBytes() ?? settings.cacheBytes?.value
    options.accessLog = accessLog ?? settings.accessLog?.value
    return options
  }

  private func cacheLimitBytes() throws -> UInt64? {
    try cacheLimit.map { try BudgetOptions.bytes($0) }
  }
}
