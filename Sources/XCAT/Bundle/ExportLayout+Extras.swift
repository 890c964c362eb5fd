// Places files in a bundle: as flat members, as extras, or under complete/.

import Platform
import Store

extension ExportLayout {
  mutating func addFlat(_ path: AbsolutePath) throws(XCATError) {
    let name = ProfileRename.baseName(try text(path))
    guard name != "manifest.xml", name != "extra", name != "complete" else {
      throw XCATError(
        path.text, "cannot be in a bundle under the name '\(name)', which is reserved",
        hint: "Rename the file and the attribute that names it")
    }
    if let other = names[name] {
      if other != path { try addInSideDirectory(path) }
      return
    }
    names[name] = path
    members.append(ExportMember(name: name, source: .file(path)))
  }

  mutating func add(_ extra: ExportExtra) throws(XCATError) {
    let source = try text(extra.source)
    if extra.isDirectory {
      manifest.extras.append(.init(source: source, destination: extra.destination))
      let name = ExportLayout.directoryName(source)
      // A directory inside another one is already in the bundle.
      let isWithin = directoryMembers.contains { name == $0 || name.hasPrefix($0 + "/") }
      if names.updateValue(extra.source, forKey: name) == nil, !isWithin {
        members.removeAll { member in
          guard case .directory = member.source else { return false }
          return member.name.hasPrefix(name + "/")
        }
        members.append(ExportMember(name: name, source: .directory(extra.source)))
        directoryMembers.insert(name)
      }
      return
    }
    let name = "extra/" + ProfileRename.baseName(source)
    let isDirectoryName = input.extras.contains {
      $0.isDirectory && (ExportLayout.directoryName($0.source.text) + "/").hasPrefix(name + "/")
    }
    if names[name].map({ $0 != extra.source }) ?? false || isDirectoryName {
      return try addInSideDirectory(extra.source, to: extra.destination)
    }
    manifest.extras.append(.init(source: source, destination: extra.destination))
    if names.updateValue(extra.source, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(extra.source)))
    }
  }

  /// Returns the member name of a directory of extras.
  private static func directoryName(_ source: String) -> String {
    "extra/" + source.split(separator: "/").joined(separator: "/")
  }

  mutating func addCarried() {
    manifest.extras += input.carriedExtras
    for (name, path) in input.carriedMembers where names.updateValue(path, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(path)))
    }
    sideDirectories = input.carriedExtras
      .filter { $0.source.hasPrefix("/\(ExportLayout.sideDirectory)") }.map(\.destination)
  }

  /// Adds a file as an extra, in a directory for all files with one destination: `cp -a` copies them there.
  mutating func addInSideDirectory(
    _ path: AbsolutePath, to destination: String? = nil
  ) throws(XCATError) {
    let directory = if let destination { destination } else { try text(path.parent) }
    if !sideDirectories.contains(directory) {
      sideDirectories.append(directory)
      manifest.extras.append(
        .init(
          source: "/\(ExportLayout.sideDirectory)\(sideDirectories.count)", destination: directory))
    }
    let number = (sideDirectories.firstIndex(of: directory) ?? 0) + 1
    let name =
      "extra/\(ExportLayout.sideDirectory)\(number)/\(ProfileRename.baseName(try text(path)))"
    if names.updateValue(path, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(path)))
    }
  }

  /// The prefix of directories of extras that imgstore, not an administrator, created.
  public static let sideDirectory = "imgstore-"

  mutating func addClosure(
    _ path: AbsolutePath, _ installDirectory: AbsolutePath
  ) throws(XCATError) {
    guard let role = input.files.first(where: { $0.path == path })?.role else { return }
    if role == .rootTree {
      let member = "complete/rootimg.tar.zst"
      manifest.closure.append(.init(member: member, path: try text(path), isTree: true))
      members.append(ExportMember(name: member, source: .tree(path)))
    } else if path.isInside(installDirectory) {
      if names.values.contains(path) { return }
      try addInSideDirectory(path)
    } else {
      let member =
        "complete/\(manifest.closure.count + 1)/\(ProfileRename.baseName(try text(path)))"
      manifest.closure.append(.init(member: member, path: try text(path), isTree: false))
      members.append(ExportMember(name: member, source: .file(path)))
    }
  }

  /// Returns a path as text for the manifest.
  /// - Throws: `XCATError` if it is not UTF-8.
  func text(_ path: AbsolutePath) throws(XCATError) -> String {
    guard let text = String(validating: path.bytes, as: UTF8.self) else {
      throw XCATError(path.text, "is not UTF-8, so no manifest can name it")
    }
    return text
  }
}
