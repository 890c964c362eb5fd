// Copies the files of an image's synclists into its root tree, as `xdcp -i ROOTIMG -F LIST` does
// (docs/xcat-contract.md#synclists). Like `rsync -Lprogtz`, it copies modes, owners and times, and follows
// links.
//
// 1. Contents are stored first, so a file of any size can be copied. Where nothing may be stored they are held in
//    memory, up to a limit (`SyncfileStorage.memory`). The tree is the same.
// 2. A link in the tree never leads out of it. In xCAT it may lead to the management node.

import Ingest
import Platform
import Render
import Store
import XCAT

/// Where the contents of the files of synclists go.
enum SyncfileStorage {
  case store(WriteSession)
  /// For a store that cannot be written, or a caller that does not write.
  case memory(ObjectStore)

  var destination: CaptureDestination {
    switch self {
    case .store(let session): .store(session)
    case .memory(let store): .memory(MemoryObjects(over: store))
    }
  }
}

/// The files of synclists in a root tree.
enum Syncfiles {
  /// The maximum number of entries in the directories of one list.
  static let maxFiles = 100_000

  /// Copies the files of all lists.
  /// - Returns: remarks for the administrator.
  static func copy(
    into tree: inout EditableTree, _ site: PackEnvironment, _ storage: SyncfileStorage
  ) throws -> [String] {
    var remarks: [String] = []
    for list in ImageFiles.paths(of: .synclists, site.definition) {
      guard let text = try site.read(list) else {
        remarks.append("synclist \(list.text) does not exist: its files are not in the image")
        continue
      }
      let copies = try copies(text, site)
      remarks += copies.problems.map { "synclist \(list.text), \($0)" }
      var copier = Copier(site: site, storage: storage, tree: tree)
      for copy in copies.copies { try copier.copy(copy) }
      tree = copier.tree
      remarks += copier.remarks.map { "synclist \(list.text), \($0)" }
    }
    return remarks
  }

  /// Parses a list of an image.
  static func copies(_ text: [UInt8], _ site: PackEnvironment) throws -> SyncCopies {
    try SyncCopies(text, variables: environment(site.definition), in: site.fileView)
  }

  /// Parses `osimage.environvar`: "A=b,C=d".
  private static func environment(_ definition: ImageDefinition) -> [String: String] {
    var variables: [String: String] = [:]
    for item in definition.environmentItems {
      let parts = item.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " } }
      if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
    }
    return variables
  }

  private struct Copier {
    let site: PackEnvironment
    let storage: SyncfileStorage
    var tree: EditableTree
    var remarks: [String] = []
    private var count = 0
    private var remainingBytes = PackEnvironment.maxHeldBytes
    /// The directories that the present entry of the list has created or changed.
    private var directories: Set<RelativePath> = []

    init(site: PackEnvironment, storage: SyncfileStorage, tree: EditableTree) {
      self.site = site
      self.storage = storage
      self.tree = tree
    }

    mutating func copy(_ copy: SyncCopy) throws {
      guard let target = try tree.resolve(copy.target.bytes, followLast: false),
        let directory = try tree.resolve(copy.target.bytes)
      else {
        remarks.append("line \(copy.line): \(copy.target.text) is behind too many links")
        return
      }
      // As in rsync, a link to a directory counts as a directory, and a link to a file is replaced.
      let isTargetDirectory = copy.isDirectory || directory.entry?.kind == .directory
      var edits = TreeEdits()
      var files: [(AbsolutePath, RelativePath)] = []
      directories = []
      for source in copy.sources {
        let isDirectory = try site.fileView.kind(source.path) == .directory
        if isDirectory, source.isContent {
          try spread(source.path, to: directory.path, &edits, &files)
        } else if isTargetDirectory {
          let path = directory.path.appending(source.path.lastComponent)
          try add(source.path, isDirectory, to: path, &edits, &files)
        } else if isDirectory {
          try add(
            source.path, true, to: target.path.appending(source.path.lastComponent), &edits, &files)
        } else {
          try add(source.path, false, to: target.path, &edits, &files)
        }
      }
      try capture(files, copy.line, &edits)
      try tree.change { $0 = edits }
    }

    private mutating func add(
      _ source: AbsolutePath, _ isDirectory: Bool, to path: RelativePath, _ edits: inout TreeEdits,
      _ files: inout [(AbsolutePath, RelativePath)]
    ) throws {
      if isDirectory {
        try spread(source, to: path, &edits, &files)
      } else {
        files.append((source, path))
      }
    }

    /// Adds a directory with its entries. As in rsync, an existing directory gets the attributes of the
    /// source.
    private mutating func spread(
      _ source: AbsolutePath, to path: RelativePath, _ edits: inout TreeEdits,
      _ files: inout [(AbsolutePath, RelativePath)]
    ) throws {
      guard source.components.count < 256, count <= Syncfiles.maxFiles else {
        throw ImageError(
          "synclist of the image \(site.image)",
          "names a directory, \(source.text), with more than \(Syncfiles.maxFiles) entries or a "
            + "link that leads back into it", hint: "Name the files that nodes need")
      }
      if directories.insert(path).inserted, let stat = try stat(source), !path.isTop {
        var directory = Entry(
          name: [], content: .directory(tree: .zero), mode: stat.mode, uid: stat.uid,
          gid: stat.gid, modified: stat.modified)
        if let existing = try tree.find(path), existing.ids != nil {
          directory.content = existing.content
          (directory.times, directory.xattrs) = (existing.times, existing.xattrs)
          edits.put(path, .stored(directory))
        } else {
          edits.put(path, .emptied(directory))
        }
      }
      for name in try site.fileView.list(source).sorted(by: precedes) {
        let child = source.appending(name)
        switch try stat(child)?.kind {
        case .directory: try spread(child, to: path.appending(name), &edits, &files)
        case .file: files.append((child, path.appending(name)))
        case .some, .none:
          remarks.append("\(child.text) was left out: it is neither a file nor a directory")
        }
        count += 1
      }
    }

    private func stat(_ path: AbsolutePath) throws -> FileStat? {
      try PackEnvironment.unlessAbsent { () throws(SystemError) in
        let resolved = try site.resolver.resolve(path)
        return try site.fileSystem.statIfPresent(at: resolved.directory.raw, resolved.name)
      } ?? nil
    }

    /// Stores the files, and adds their entries to the tree.
    private mutating func capture(
      _ files: [(AbsolutePath, RelativePath)], _ line: Int, _ edits: inout TreeEdits
    ) throws {
      guard !files.isEmpty else { return }
      var seen: Set<AbsolutePath> = []
      let requests = files.map(\.0).filter { seen.insert($0).inserted }
        .map { CaptureRoot(role: .extra, path: $0) }
      let components = try Capture(site.resolver, progress: Progress()).run(
        requests, cache: nil, into: storage.destination
      ).components
      for (source, path) in files {
        guard let component = components.content(at: source.bytes),
          component.entry.kind == .file, !component.entry.content.isMissing
        else {
          remarks.append("line \(line): \(source.text) cannot be read: it is not in the image")
          continue
        }
        if case .memory = storage { try hold(source, component.entry) }
        var entry = component.entry
        (entry.xattrs, entry.linkGroup) = (nil, 0)
        edits.put(path, .stored(entry))
      }
    }

    /// Holds the content of a captured file in memory.
    /// - Throws: `ImageError`: `imageChanged` if the file has changed since, `readOnly` above the limit.
    private mutating func hold(_ source: AbsolutePath, _ entry: Entry) throws {
      guard case .file(let blob, let size) = entry.content, tree.view.content(blob) == nil else {
        return
      }
      guard size <= remainingBytes else {
        throw ImageError(
          .readOnly, "image \(site.image)",
          "has synclists with more than \(PackEnvironment.maxHeldBytes >> 20) MiB of files, which need a "
            + "store that can be written", hint: "Make it with 'imgstore pack', which stores them")
      }
      let resolved = try site.resolver.resolve(source)
      let bytes = try site.fileSystem.readSmallFile(
        at: resolved.directory.raw, resolved.name, limitBytes: Int(size))
      guard tree.view.hold(bytes) == blob else {
        throw ImageError(
          .imageChanged, source.text, "changed while it was being read",
          hint: "Run the command again")
      }
      remainingBytes -= size
    }
  }
}
