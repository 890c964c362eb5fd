// Checks a bundle against the rules of `import` before `export` writes its first byte, so that `import`
// accepts every bundle that `export` writes.

import Archive
import Codec
import Ingest
import Platform
import Render
import Store
import XCAT

/// Checks the members and the manifest of a bundle that is about to be written.
struct ExportCheck {
  private let layout: ExportLayout
  private let files: [RenderedFile]
  private static let hint = "Nothing was exported, because no import would accept this bundle"

  init(_ layout: ExportLayout, _ files: [RenderedFile]) {
    self.layout = layout
    self.files = files
  }

  /// Checks the bundle.
  /// - Parameter manifest: the bytes of manifest.xml.
  /// - Throws: `ImageError` for the first file or value that an import would refuse.
  func run(manifest bytes: [UInt8], install: AbsolutePath) throws {
    try checkMembers()
    do {
      let manifest = try Manifest.parse(bytes)
      try manifest.refuseHarmfulText(allowsUnsafeValues: true)
      try checkPaths(manifest, install)
    } catch let error as XCATError {
      throw ImageError(error.subject, error.reason, hint: ExportCheck.hint)
    }
  }

  /// Returns remarks on values and sizes that an import accepts only with an option or after unpacking.
  /// - Parameters:
  ///   - manifest: the bundle's manifest.
  ///   - contentBytes: the total size of all members.
  ///   - sizeBytes: the size of the compressed bundle.
  static func remarks(
    _ manifest: Manifest, contentBytes: UInt64, sizeBytes: UInt64
  ) -> [String] {
    var unsafe = manifest.unsafeValues.map {
      "\($0.text): an import accepts it only with --allow-unsafe-values"
    }
    if let name = try? ImageName(manifest.imageName), !name.isPlain {
      unsafe.append(
        "the name '\(printable(name.bytes))' is not valid for a new image: an import elsewhere needs --name"
      )
    }
    guard !ExpansionLimit.standard.allows(plain: contentBytes, compressed: sizeBytes) else {
      return unsafe
    }
    return unsafe + [
      "the bundle expands to more than \(ExpansionLimit.standard.ratio) times its size, which an import "
        + "refuses as an attack: import the output of 'gzip -dc'"
    ]
  }

  // MARK: Members

  private func checkMembers() throws {
    var rules = BundleRules()
    var kinds: [String: FileKind] = [:]
    for file in files {
      let kind = ExportCheck.kind(of: file)
      let member = TarMember(
        path: Array("./\(layout.directory)/\(file.name)".utf8), kind: kind.tar, mode: 0o644)
      do throws(BundleError) {
        _ = try rules.take(member)
      } catch {
        throw ImageError(file.path, error.reason, hint: ExportCheck.hint)
      }
      if let other = kinds.updateValue(kind.file, forKey: file.name) {
        guard other == .directory, kind.file == .directory else {
          throw ImageError(
            file.path, "would be in the bundle twice, as \(file.name)",
            hint: ExportCheck.hint)
        }
      }
    }
    for file in files {
      var above = file.name
      while let cut = above.utf8.lastIndex(of: UInt8(ascii: "/")) {
        above = String(above[..<cut])
        guard let kind = kinds[above], kind != .directory else { continue }
        throw ImageError(
          file.path, "would be in the bundle below \(above), which is a \(kind.noun)",
          hint: ExportCheck.hint)
      }
    }
  }

  private static func kind(of file: RenderedFile) -> (tar: TarKind, file: FileKind) {
    guard case .entry(let entry) = file.source else { return (.file, .file) }
    return switch entry.content {
    case .symlink(let target): (.symlink(target: target), .symlink)
    case .directory: (.directory, .directory)
    case .device, .fifo, .socket: (.fifo, entry.kind)
    default: (.file, .file)
    }
  }

  // MARK: Places

  /// Refuses members that an import would place at the same path.
  private func checkPaths(_ manifest: Manifest, _ install: AbsolutePath) throws {
    var contents: [String: EntryContent] = [:]
    var directories: Set<String> = []
    for file in files {
      var above = file.name
      while let cut = above.utf8.lastIndex(of: UInt8(ascii: "/")) {
        above = String(above[..<cut])
        directories.insert(above)
      }
      switch file.source {
      case .entry(let entry) where entry.kind == .directory: directories.insert(file.name)
      case .entry(let entry): contents[file.name] = entry.content
      case .bytes(let bytes):
        contents[file.name] = .file(
          blob: SHA256.digest(of: bytes), sizeBytes: UInt64(bytes.count))
      case .spool(let spool):
        contents[file.name] = .file(blob: spool.digest, sizeBytes: spool.sizeBytes)
      case .edited(_, let bytes):
        contents[file.name] = .file(
          blob: SHA256.digest(of: bytes), sizeBytes: UInt64(bytes.count))
      case .rewritten(_, let spool):
        contents[file.name] = .file(blob: spool.digest, sizeBytes: spool.sizeBytes)
      }
    }
    let bundle = try BundleLayout(
      reading: manifest, renamed: manifest, installDirectory: install,
      isDirectory: directories.contains)
    var placed: [PlacedContent] = []
    for member in bundle.members {
      switch member.shape {
      case .file, .archivedTree:
        if let content = contents[member.name] {
          placed.append(PlacedContent(path: member.path, content: content))
        }
      case .directory: placed.append(PlacedContent(path: member.path, content: .fifo))
      case .mergedDirectory:
        let prefix = member.name + "/"
        for (name, content) in contents where name.hasPrefix(prefix) {
          let inside = String(name.dropFirst(prefix.count))
          placed.append(PlacedContent(path: member.path.appending(inside), content: content))
        }
      }
    }
    do throws(PlacementConflict) {
      _ = try BundlePlacement.check(placed)
    } catch {
      throw ImageError(error.path.text, error.reason, hint: ExportCheck.hint)
    }
    let paths = Set(placed.map(\.path))
    for path in bundle.secondFiles where !paths.contains(path) {
      throw ImageError(
        path.text,
        "has the same name as another file, and a bundle can hold only one file of a name",
        hint: ExportCheck.hint)
    }
  }
}
