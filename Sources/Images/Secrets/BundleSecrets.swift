// Finds the secrets in the members of a planned bundle, and prepares the scrubbed members.
//
// 1. The scrub uses the results of the scan. It changes neither the store nor the live image.
// 2. `requireScrubbable` fails before the first byte is written. It refuses files that cannot be scanned, and
//    required files that are secret as a whole.

import Platform
import Render
import Store
import XCAT

/// The secrets in the members of a bundle.
struct BundleSecrets {
  private var report = SecretReport()
  /// The scan results of single files, by path.
  private(set) var files: [String: FileSecrets] = [:]
  /// The roles of files that are secret as a whole and that the manifest requires, by path.
  private var required: [String: Role] = [:]
  /// Single files that are left out as a whole.
  private(set) var leftOut: Set<AbsolutePath> = []

  /// Scans the contents of a bundle with this layout.
  init(_ collection: ExportCollection, _ layout: ExportLayout, _ scan: SecretScan) throws {
    scanRows(layout.manifest)
    report.isOfDirectory = layout.manifest.definition.isDirectory
    for member in layout.members {
      switch member.source {
      case .bytes: break
      case .compressedTree(let path), .tree(let path):
        let component = try collection.component(at: path)
        report.add(try scan.tree(component.entry), .tree, in: path.bytes)
      case .directory(let path):
        try scanDirectory(path, try collection.component(at: path), scan)
      case .file(let path):
        let component = try collection.component(at: path)
        guard component.entry.kind == .file, let role = collection.role(of: path) else { continue }
        let secrets = try scan.file(path, role: role, component.entry)
        files[path.text] = secrets
        report.add(secrets, path.bytes, role: role)
        guard case .plain(let verdict) = secrets, verdict.scrubbed == nil else { continue }
        leftOut.insert(path)
        if BundleSecrets.isRequired(role) { required[path.text] = role }
      }
    }
    report.sort()
  }

  /// Returns the findings as a report.
  func report(isScrubbed: Bool) -> SecretReport {
    var report = report
    report.isScrubbed = isScrubbed
    return report
  }

  private static func isRequired(_ role: Role) -> Bool { role.attribute != nil || role.isOwned }

  private mutating func scanRows(_ manifest: Manifest) {
    for (table, rows) in [
      ("osimage", [manifest.osimage]), ("linuximage", [manifest.linuximage]),
      ("kit", manifest.kits), ("kitrepo", manifest.kitRepositories),
      ("kitcomponent", manifest.kitComponents),
    ] {
      for row in rows { report.findings += DefinitionSecrets.scan(row, table: table).findings }
    }
  }

  private mutating func scanDirectory(
    _ path: AbsolutePath, _ component: Snapshot.Component, _ scan: SecretScan
  ) throws {
    guard component.entry.kind == .directory else { return }
    let secrets = try scan.directory(component.entry, at: path)
    for found in secrets.found where found.package == nil {
      files[path.appending(found.file).text] = .plain(
        SecretVerdict(items: found.items, scrubbed: found.scrubbed, isByContent: false))
    }
    report.add(secrets, .file, in: path.bytes)
  }

  // MARK: Scrubbing

  /// Checks that a scrub can remove all secrets.
  /// - Throws: `ImageError` if a file cannot be scanned, or a required file is a secret as a whole.
  func requireScrubbable() throws {
    if let file = report.unexamined.first {
      throw ImageError(
        .secretsFound, printable(file.path),
        file.reason + "; it may hold secrets that --scrub cannot remove",
        hint: file.hint)
    }
    if let (path, role) = required.min(by: { $0.key < $1.key }) {
      throw ImageError(
        .secretsFound, path,
        "is secret as a whole, but a bundle must contain the image's \(role.text)",
        hint: "Remove the secret from the file, or export without --scrub")
    }
  }

  /// Returns the members of the scrubbed bundle.
  func scrubbed(
    _ members: [RenderedFile], _ scan: SecretScan, _ context: Context
  ) throws -> [RenderedFile] {
    try members.compactMap { member in
      guard case .entry(let entry) = member.source, let secrets = files[member.path],
        case .file(let blob, let size) = entry.content
      else { return member }
      let source: RenderedFile.Source
      switch secrets {
      case .none, .unexamined: return member
      case .plain(let verdict):
        guard let bytes = verdict.scrubbed else { return nil }
        source = .edited(entry, bytes)
      case .archive(let found):
        source = .rewritten(
          entry, try ArchiveScrubbing(context, scan).archive(blob, size, found, member.path))
      case .squashfs(let found):
        source = .rewritten(
          entry, try ArchiveScrubbing(context, scan).squashfs(blob, size, found, member.path))
      }
      return RenderedFile(name: member.name, path: member.path, source: source)
    }
  }
}

extension SecretReport {
  mutating func add(_ secrets: TreeSecrets, _ layer: SecretLayer, in container: [UInt8]) {
    for found in secrets.found {
      // The files of a directory are files of the management node.
      let path = layer == .file ? container + [0x2f] + found.path : found.path
      let treatment: SecretFinding.Treatment =
        found.package != nil ? .kept : found.scrubbed == nil ? .leftOut : .blanked
      for item in found.items {
        let finding = SecretFinding(
          layer, path, in: layer == .file ? nil : container, item, treatment,
          package: found.package)
        if found.package == nil { findings.append(finding) } else { published.append(finding) }
      }
    }
  }

  mutating func add(_ secrets: FileSecrets, _ path: [UInt8], role: Role) {
    let layer: SecretLayer =
      role == .packed ? .packed : role == .ramdisk ? .ramdisk : .file
    switch secrets {
    case .none: break
    case .unexamined(let file): unexamined.append(file)
    case .plain(let verdict):
      for item in verdict.items {
        findings.append(
          SecretFinding(
            layer, path, in: nil, item, verdict.scrubbed == nil ? .leftOut : .blanked))
      }
    case .archive(let found), .squashfs(let found):
      for file in found.found {
        for item in file.items {
          let finding = SecretFinding(
            layer, file.path, in: path, item, file.treatment, package: file.package)
          if file.package == nil { findings.append(finding) } else { published.append(finding) }
        }
      }
    }
  }
}

extension ExportCollection {
  /// Removes secrets from the rows and single files, which are decided before members are written.
  mutating func scrub(_ secrets: BundleSecrets, _ scan: SecretScan) {
    input.definition.osimage =
      DefinitionSecrets.scan(input.definition.osimage, table: "osimage").row
    input.definition.linuximage =
      DefinitionSecrets.scan(input.definition.linuximage, table: "linuximage").row
    func scrubbed(_ rows: [[String: String]]) -> [[String: String]] {
      rows.map { DefinitionSecrets.scan($0, table: "").row }
    }
    input.kits = scrubbed(input.kits)
    input.kitRepositories = scrubbed(input.kitRepositories)
    input.kitComponents = scrubbed(input.kitComponents)
    let leftOut = secrets.leftOut
    input.extras.removeAll { !$0.isDirectory && leftOut.contains($0.source) }
    input.closure.removeAll { leftOut.contains($0) }
    let members = input.carriedMembers.filter { leftOut.contains($0.path) }.map(\.name)
    input.carriedMembers.removeAll { leftOut.contains($0.path) }
    input.carriedExtras.removeAll { extra in
      let name = extra.source.split(separator: "/").last.map(String.init) ?? ""
      return members.contains("extra/\(name)")
    }
    let store = scan.store
    scrubTree = { top in
      let view = OverlayTree(store, modified: top.modified)
      let edits = try scan.tree(top).edits
      return (view, try view.regrouped(try view.apply(edits, to: top)))
    }
  }
}
