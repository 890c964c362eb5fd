// Places files in a bundle: as flat members, as extras, or under complete/.

import Platform

extension ExportLayout {
  mutating func addFlat(_ path: AbsolutePath) throws(XCATError) {
    let name = ProfileRename.baseName(try text(path))
    guard name != "manifest.xml", name != "extra", name != "complete" else {
      throw XCATError(
        path.text, "cannot be in a bundle under the name '\(name)', which is reserved",
        hint: "Rename the file and the attribute that names it")
    }
    if let other = names[name] {
      if other != path { try addInSideFolder(path) }
      return
    }
    names[name] = path
    members.append(ExportMember(name: name, source: .file(path)))
  }

  mutating func add(_ extra: ExportExtra) throws(XCATError) {
    let source = try text(extra.source)
    if extra.isFolder {
      manifest.extras.append(.init(source: source, destination: extra.destination))
      let name = ExportLayout.folderName(source)
      // A folder inside another one is already in the bundle.
      let isWithin = folderMembers.contains { name == $0 || name.hasPrefix($0 + "/") }
      if names.updateValue(extra.source, forKey: name) == nil, !isWithin {
        members.removeAll { member in
          guard case .folder = member.source else { return false }
          return member.name.hasPrefix(name + "/")
        }
        members.append(ExportMember(name: name, source: .folder(extra.source)))
        folderMembers.insert(name)
      }
      return
    }
    let name = "extra/" + ProfileRename.baseName(source)
    let isFolderName = contents.extras.contains {
      $0.isFolder && (ExportLayout.folderName($0.source.text) + "/").hasPrefix(name + "/")
    }
    if names[name].map({ $0 != extra.source }) ?? false || isFolderName {
      return try addInSideFolder(extra.source, to: extra.destination)
    }
    manifest.extras.append(.init(source: source, destination: extra.destination))
    if names.updateValue(extra.source, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(extra.source)))
    }
  }

  /// Returns the member name of a folder of extras.
  private static func folderName(_ source: String) -> String {
    "extra/" + source.split(separator: "/").joined(separator: "/")
  }

  mutating func addCarried() {
    manifest.extras += contents.carriedExtras
    for (name, path) in contents.carriedMembers where names.updateValue(path, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(path)))
    }
    sideFolders = contents.carriedExtras
      .filter { $0.source.hasPrefix("/\(ExportLayout.sideFolder)") }.map(\.destination)
  }

  /// Adds a file as an extra, in a folder for all files with one destination: `cp -a` copies them
  /// there.
  mutating func addInSideFolder(
    _ path: AbsolutePath, to destination: String? = nil
  ) throws(XCATError) {
    let folder = if let destination { destination } else { try text(path.parent) }
    if !sideFolders.contains(folder) {
      sideFolders.append(folder)
      manifest.extras.append(
        .init(source: "/\(ExportLayout.sideFolder)\(sideFolders.count)", destination: folder))
    }
    let number = (sideFolders.firstIndex(of: folder) ?? 0) + 1
    let name =
      "extra/\(ExportLayout.sideFolder)\(number)/\(ProfileRename.baseName(try text(path)))"
    if names.updateValue(path, forKey: name) == nil {
      members.append(ExportMember(name: name, source: .file(path)))
    }
  }

  /// The prefix of folders of extras that imgstore, not an administrator, created.
  public static let sideFolder = "imgstore-"

  mutating func addClosure(
    _ path: AbsolutePath, _ installDirectory: AbsolutePath
  ) throws(XCATError) {
    guard let role = contents.files.first(where: { $0.path == path })?.role else { return }
    if role == ImageFiles.rootTree {
      let member = "complete/rootimg.tar.zst"
      manifest.closure.append(.init(member: member, path: try text(path), isTree: true))
      members.append(ExportMember(name: member, source: .tree(path)))
    } else if path.isInside(installDirectory) {
      if names.values.contains(path) { return }
      try addInSideFolder(path)
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
