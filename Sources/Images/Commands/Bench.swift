// imgstore bench: measures packing on this machine, and the programs that it replaces.
//
// 1. Neither the image nor the store is changed. The tree is read into a scratch store, which is removed with
//    the packed files when the command ends.
// 2. imgstore and the other programs all write the whole tree to a file on the same disk, and sync it. The
//    tree is in the page cache.
// 3. The file that was packed with a warm cache is compared with one of the same tree without a cache. If
//    they differ, the bench fails.

import Codec
import Ingest
import Platform
import Render
import Store
import XCAT

extension Workspace {
  /// Measures packing.
  /// - Throws: `ImageError` (`notFound`) if there is nothing to pack, and the errors of packing.
  public func bench(_ request: BenchRequest) throws -> BenchOutcome {
    try BenchRunner(context).bench(request)
  }
}

/// Measures how fast images are packed.
struct BenchRunner: Collaborator {
  let context: Context

  func bench(_ request: BenchRequest) throws -> BenchOutcome {
    let path = try benchTree(request.subject)
    return try ScratchDirectory.with(
      in: Array(absolute(request.workDirectory).utf8), named: "imgstore-bench", context.fileSystem
    ) { scratch in
      var bench = try Bench(context, request, path, scratch)
      for form in request.forms { try bench.measure(form) }
      return bench.outcome
    }
  }

  /// Returns the path of the root tree of an image, or of a directory.
  private func benchTree(_ subject: String) throws -> AbsolutePath {
    let isPath = subject.contains("/") || subject == "." || subject == ".."
    if !isPath {
      let image = try ImageResolver(context).image(named: subject)
      let files = try ImageCapturer(context).imageFiles(
        ImageCapturer(context).definition(of: image), context.installDirectory(context.tables()))
      guard let tree = files.first(where: { $0.role == .rootTree })?.path else {
        throw ImageError(
          .notFound, "image \(image)", "has no root tree to pack here",
          hint: "Name a directory by its path instead: 'imgstore bench ./DIR'")
      }
      return tree
    }
    guard let path = AbsolutePath(try LivePaths(context).managementPath(subject)),
      try ImageCapturer(context).statLive(path)?.kind == .directory
    else {
      throw ImageError(
        .notFound, subject,
        context.options.root == "/"
          ? "is not a directory" : "is not a directory below \(context.options.root)",
        hint: "Name an image, or the directory of a root tree")
    }
    return path
  }
}

/// A running bench.
private struct Bench {
  private let context: Context
  private let request: BenchRequest
  private let scratch: ScratchDirectory
  private let store: ObjectStore
  private let source: Descriptor
  private let tree: EditableTree
  private var changed: EditableTree
  private let created: Timestamp
  private(set) var outcome: BenchOutcome

  init(
    _ context: Context, _ request: BenchRequest, _ path: AbsolutePath,
    _ scratch: ScratchDirectory
  ) throws {
    self.context = context
    created = context.now()
    self.request = request
    self.scratch = scratch
    let fileSystem = context.fileSystem
    let location = try context.resolver.resolve(path)
    source = try fileSystem.openDirectory(at: location.directory.raw, location.name)
    store = try ObjectStore(
      fileSystem, path: scratch.path + Array("/store".utf8), create: true, report: { _ in })
    let start = monotonicSeconds()
    context.progress.begin("reading the tree")
    let session = try store.beginSession()
    let capture = try StoreProtection(context).newCapture().run(
      [CaptureRoot(role: .rootTree, path: path)], cache: nil, into: .store(session))
    try session.finish()
    guard let top = capture.components.rootTree?.entry, top.kind == .directory else {
      throw ImageError(path.text, "cannot be read as a tree")
    }
    let seconds = monotonicSeconds() - start
    let view = OverlayTree(store, modified: created)
    tree = EditableTree(top, in: view)
    changed = tree
    let changedBytes = try changed.renewFiles(
      percent: request.changePercent, of: capture.contentBytes, in: store)
    outcome = BenchOutcome(
      subject: request.subject, entries: capture.entryCount, contentBytes: capture.contentBytes,
      changedBytes: changedBytes, changePercent: request.changePercent, threads: request.threads,
      rounds: request.rounds, snapshotSeconds: seconds, runs: [],
      remarks: capture.notes.filter(\.isProblem).map { "\(printable($0.path)): \($0.reason)" })
  }

  /// Measures one form: the other programs, and packing with a cold, a changed and a warm cache.
  mutating func measure(_ form: BenchForm) throws {
    var seconds: [BenchRun.Variant: [Double]] = [:]
    var sizes: [BenchRun.Variant: UInt64] = [:]
    var order: [BenchRun.Variant] = []
    func note(_ variant: BenchRun.Variant, _ run: (seconds: Double, sizeBytes: UInt64)) {
      if seconds[variant] == nil { order.append(variant) }
      seconds[variant, default: []].append(run.seconds)
      sizes[variant] = run.sizeBytes
    }
    for _ in 0..<max(1, request.rounds) {
      if request.measuresPeers {
        for peer in BenchPeer.all(form) {
          if let run = try time(peer) { note(.peer(peer.text), run) }
        }
      }
      removeCache()
      note(.cold, try time(form, tree, "cold"))
      note(.changed, try time(form, changed, "with new content"))
      note(.warm, try time(form, changed, "once more"))
    }
    let warm = try digest(of: form.name)
    removeCache()
    _ = try time(form, changed, "for comparison")
    guard try digest(of: form.name) == warm else {
      throw ImageError(
        "the packed image \(form.name)", "differs between packing with and without a cache",
        hint: "This is a bug in imgstore; please report it")
    }
    try? context.fileSystem.remove(
      at: scratch.directory.raw, Array(form.name.utf8), isDirectory: false)
    outcome = outcome.adding(
      order.map { variant in
        let sorted = (seconds[variant] ?? []).sorted()
        return BenchRun(
          form: form, variant: variant, seconds: sorted[sorted.count / 2],
          sizeBytes: sizes[variant] ?? 0)
      })
  }

  /// Returns the time and the size of one packing.
  private func time(
    _ form: BenchForm, _ tree: EditableTree, _ what: String
  ) throws -> (seconds: Double, sizeBytes: UInt64) {
    var pack = PackRequest(request.subject)
    (pack.method, pack.codec, pack.threads) = (form.method, form.codec, request.threads)
    pack.cacheLimitBytes = .max
    let rendering = PackRendering(
      context: context, store: store, tree: tree, list: ExcludeList(always: []),
      created: created, request: pack)
    let destination = ResolvedPath(
      directory: scratch.directory, name: Array(form.name.utf8))
    let start = monotonicSeconds()
    let rendered = try rendering.write(
      to: try PackedFile(
        context.fileSystem, destination, replacing: .anything, .private))
    return (monotonicSeconds() - start, rendered.report.writtenBytes)
  }

  /// Returns the time and the size of one run of another program; nil if it is not installed or fails.
  private mutating func time(
    _ peer: BenchPeer
  ) throws -> (seconds: Double, sizeBytes: UInt64)? {
    let fileSystem = context.fileSystem
    let name = Array("peer".utf8)
    let pipeline: Pipeline
    do throws(BenchPeer.MissingProgramError) {
      pipeline = try peer.pipeline(
        output: scratch.path + [0x2f] + name, context.options.environment, fileSystem)
    } catch {
      remark("\(error.name) is not installed: '\(peer.text)' is not measured")
      return nil
    }
    context.progress.begin("running \(peer.text)")
    defer { try? fileSystem.remove(at: scratch.directory.raw, name, isDirectory: false) }
    // A program that writes its output file itself must create it.
    let sink = peer.writesItself ? Array("peer.said".utf8) : name
    let output = try fileSystem.openFile(
      at: scratch.directory.raw, sink, [.write, .create, .truncate])
    let start = monotonicSeconds()
    let statuses = try pipeline.run(
      in: source, output: output, environment: context.options.environment)
    let file = try fileSystem.openFile(at: scratch.directory.raw, name, [.readWrite])
    try fileSystem.sync(file.raw)
    let seconds = monotonicSeconds() - start
    guard statuses.allSatisfy({ $0 == 0 }) else {
      remark("'\(peer.text)' failed: \(statuses)")
      return nil
    }
    return (seconds, try fileSystem.stat(file.raw).size)
  }

  private mutating func remark(_ text: String) {
    if !outcome.remarks.contains(text) { outcome = outcome.adding([], remark: text) }
  }

  private func removeCache() {
    SegmentCache.remove(store.layout)
  }

  private func digest(of name: String) throws -> Digest {
    let file = try context.fileSystem.openFile(
      at: scratch.directory.raw, Array(name.utf8), [.read, .noFollow])
    var hash = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    while true {
      let n = try context.fileSystem.read(file.raw, into: buffer)
      if n == 0 { return hash.finish() }
      hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
    }
  }
}

extension BenchOutcome {
  fileprivate func adding(_ more: [BenchRun], remark: String? = nil) -> BenchOutcome {
    BenchOutcome(
      subject: subject, entries: entries, contentBytes: contentBytes, changedBytes: changedBytes,
      changePercent: changePercent, threads: threads, rounds: rounds,
      snapshotSeconds: snapshotSeconds, runs: runs + more,
      remarks: remarks + (remark.map { [$0] } ?? []))
  }
}
