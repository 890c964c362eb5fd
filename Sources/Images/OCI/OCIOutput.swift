// The location of an exported OCI image: an archive, standard output, or a layout directory.
//
// 1. An archive and a layout are written under another name and renamed when they are durable.
// 2. A layout directory replaces nothing but an empty directory.
// 3. Nothing is written into the store.

import Archive
import Codec
import Platform
import Render
import Store

/// Writes an image to its location.
struct OCIOutput {
  private enum Target {
    case stream
    case archive(OutputLocation)
    case directory(OutputLocation)
  }

  private let context: Context
  private let target: Target

  /// The path; nil for standard output.
  var text: String? {
    switch target {
    case .stream: nil
    case .archive(let location), .directory(let location): location.path.text
    }
  }

  /// Finds the location that a request names.
  /// - Throws: `ImageError` if nothing may be written there; `SystemError`.
  static func locate(
    _ request: OCIExportRequest, _ snapshot: CommittedSnapshot, _ context: Context
  ) throws -> OCIOutput {
    let name = "\(snapshot.snapshot.image)@\(snapshot.number).oci.tar"
    let target: Target
    switch request.destination {
    case .standardOutput: return OCIOutput(context: context, target: .stream)
    case .archive(let path):
      let object = "destination \(path ?? name)"
      let location = try OutputLocator(context).outputLocation(path ?? name, named: name, object)
      target = .archive(location)
      try check(location, object, snapshot, context)
    case .directory(let path):
      let object = "destination \(path)"
      let location = try OutputLocator(context).outputLocation(path, object)
      try check(location, object, snapshot, context)
      try requireEmpty(location, object, context)
      target = .directory(location)
    }
    return OCIOutput(context: context, target: target)
  }

  private static func check(
    _ location: OutputLocation, _ object: String, _ snapshot: CommittedSnapshot, _ context: Context
  ) throws {
    try StoreProtection(context).requireOutsideStore(location.resolved.directory, object)
    try StoreProtection(context).requireOutside(
      snapshot.snapshot.requests.map(\.path), location.resolved, object)
  }

  private static func requireEmpty(
    _ location: OutputLocation, _ object: String, _ context: Context
  ) throws {
    let (directory, name) = (location.resolved.directory, location.resolved.name)
    guard let stat = try context.fileSystem.statIfPresent(at: directory.raw, name) else { return }
    guard stat.kind == .directory else {
      throw ImageError(
        .alreadyExists, object, "is a \(stat.kind.noun), which a layout cannot replace",
        hint: "Nothing was written; name a directory that does not exist")
    }
    let opened = try context.fileSystem.openDirectory(at: directory.raw, name)
    guard try context.fileSystem.names(of: opened.raw).isEmpty else {
      throw ImageError(
        .alreadyExists, object, "is not empty",
        hint: "Nothing was written; name a directory that is empty or does not exist")
    }
  }

  /// Writes the image.
  /// - Throws: `SystemError`, `StoreError`; nothing has the final name then.
  func write(_ image: OCIDocuments, _ layers: [OCIRenderedLayer], _ time: Timestamp) throws {
    let blobs = Dictionary(
      [
        (SHA256.digest(of: image.config), OCIBlob.bytes(image.config)),
        (image.manifest.digest, .bytes(image.manifestBytes)),
      ] + layers.filter { !$0.isEmpty }.map { ($0.blob.digest, .spool($0.blob)) }
    ) { first, _ in first }.sorted { $0.key < $1.key }
    switch target {
    case .stream: try writeArchive(image, blobs, time, to: .open(1))
    case .archive(let location):
      let output = try OutputFile(
        context.fileSystem, in: location.resolved.directory, named: location.resolved.name)
      try writeArchive(image, blobs, time, to: .newFile(output.file))
      try output.publish()
    case .directory(let location): try writeLayout(image, blobs, location)
    }
  }

  // MARK: Archives

  private func writeArchive(
    _ image: OCIDocuments, _ blobs: [(key: Digest, value: OCIBlob)], _ time: Timestamp,
    to target: BackgroundWriter.Target
  ) throws {
    let stream = BackgroundWriter(context.fileSystem, target)
    var totalBytes: UInt64 = 0
    func put(_ bytes: UnsafeRawBufferPointer) throws {
      totalBytes += UInt64(bytes.count)
      try stream.write(bytes)
    }
    func add(_ path: String, _ blob: OCIBlob?) throws {
      let size = blob?.sizeBytes ?? 0
      let member = TarMember(
        path: Array(path.utf8), kind: blob == nil ? .directory : .file,
        mode: blob == nil ? 0o755 : 0o644, sizeBytes: size, modifiedSeconds: time.seconds)
      try member.header().withUnsafeBytes(put)
      try blob?.read(put)
      try [UInt8](repeating: 0, count: TarMember.paddingBytes(after: size)).withUnsafeBytes(put)
    }
    try add("oci-layout", .bytes(OCIDocuments.layout))
    try add("index.json", .bytes(image.index))
    try add("blobs/", nil)
    try add("blobs/sha256/", nil)
    for (digest, blob) in blobs { try add("blobs/sha256/\(digest.hex)", blob) }
    try TarMember.end(after: totalBytes).withUnsafeBytes(put)
    try stream.finish()
  }

  // MARK: Layouts

  private func writeLayout(
    _ image: OCIDocuments, _ blobs: [(key: Digest, value: OCIBlob)], _ location: OutputLocation
  ) throws {
    let files = context.fileSystem
    let parent = location.resolved.directory
    let name = Array(".imgstore-oci-\(randomName())".utf8)
    let remove: @Sendable () -> Void = { removeDirectory(files, parent, name) }
    try files.makeDirectory(at: parent.raw, name, mode: 0o700)
    try Interruption.cleaningUp(remove) {
      do {
        let top = try files.openDirectory(at: parent.raw, name)
        try files.makeDirectory(at: top.raw, Array("blobs".utf8), mode: 0o755)
        try files.makeDirectory(at: top.raw, Array("blobs/sha256".utf8), mode: 0o755)
        let directory = try files.openDirectory(at: top.raw, Array("blobs/sha256".utf8))
        for (digest, blob) in blobs { try writeFile(digest.hex, blob, in: directory) }
        try writeFile("index.json", .bytes(image.index), in: top)
        try writeFile("oci-layout", .bytes(OCIDocuments.layout), in: top)
        try files.sync(directory.raw)
        try files.sync(top.raw)
        try files.rename(
          at: parent.raw, name, to: parent.raw, location.resolved.name, exclusively: false)
        try files.sync(parent.raw)
      } catch {
        remove()
        throw error
      }
    }
  }

  private func writeFile(_ name: String, _ blob: OCIBlob, in directory: Descriptor) throws {
    let file = try context.fileSystem.openFile(
      at: directory.raw, Array(name.utf8), [.readWrite, .create, .exclusive, .noFollow], mode: 0o644
    )
    try blob.read { try context.fileSystem.write(file.raw, $0) }
    try context.fileSystem.sync(file.raw)
  }
}

/// The content of a blob to write.
private enum OCIBlob {
  case bytes([UInt8])
  case spool(Spool)

  var sizeBytes: UInt64 {
    switch self {
    case .bytes(let bytes): UInt64(bytes.count)
    case .spool(let spool): spool.sizeBytes
    }
  }

  func read(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    switch self {
    case .bytes(let bytes): try bytes.withUnsafeBytes(body)
    case .spool(let spool):
      let source = spool.source()
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      defer { buffer.deallocate() }
      while case let n = try source(buffer), n > 0 {
        try body(UnsafeRawBufferPointer(rebasing: buffer[..<n]))
      }
    }
  }
}
