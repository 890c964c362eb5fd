// imgstore ls, find: looking into a snapshot without restoring it.

import ArgumentParser
import Images
import Platform
import Store

/// A snapshot and a path inside it, as REF[:PATH] names them.
struct ResolvedReference {
  let reader: SnapshotReader
  let found: FoundEntry
  /// The path as it was written: what is shown below begins with it, and can be given back.
  let spelling: String

  /// - Parameter path: in place of the reference's own.
  init(_ workspace: Workspace, _ text: String, path: String? = nil, followLast: Bool = true) throws
  {
    let reference = try PathReference(text, path: path)
    var spelling = reference.path ?? ""
    while spelling.count > 1, spelling.hasSuffix("/") { spelling.removeLast() }
    reader = try workspace.reader(of: try workspace.find(reference.snapshot))
    found = try reader.require(spelling, followLast: followLast)
    self.spelling = spelling
  }

  /// How an entry below is written.
  func spell(_ entry: FoundEntry) -> String {
    let below = entry.path.dropFirst(found.path.count)
    if below.isEmpty { return spelling.isEmpty ? "." : spelling }
    if spelling.isEmpty || spelling == "/" { return spelling + printable(below.dropFirst()) }
    return spelling + printable(below)
  }
}

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List what is in a folder of a snapshot.",
    discussion: """
      REF alone lists the top of the root tree. PATH is a path inside the root tree, or an absolute \
      path of the management node. Folders that are links are followed, as in a chroot.
      """)

  @Argument(help: "REF or REF:PATH.") var ref: String
  @Argument(help: "The path, where REF has none.") var path: String?
  @Flag(name: .customShort("l"), help: "Also kind, mode, owner, size and time.") var long = false
  @Flag(name: .customShort("a"), help: .hidden) var all = false
  @Flag(name: [.customShort("R"), .long], help: "Also everything below, a path a line.")
  var recursive = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let place = try ResolvedReference(try common.open(), ref, path: path)
    Terminal.finish()
    Output.begin()
    defer { Output.end() }
    var list = try EntryList(json: json.json)
    let isFolder = place.found.entry.kind == .directory
    let prefix = place.found.path.count + (isFolder ? 1 : 0)
    func show(_ found: FoundEntry) throws {
      // Relative to the folder; a file, as it was asked for.
      let name = isFolder ? printable(found.path.dropFirst(prefix)) : place.spelling
      try list.add(found, long ? longLine(found.entry, name) : name + mark(found.entry))
    }
    if !isFolder {
      try show(place.found)
    } else if recursive {
      try place.reader.walk(place.found) { found in
        if found.path != place.found.path { try show(found) }
      }
    } else {
      for child in try place.reader.children(of: place.found) { try show(child) }
    }
    try list.end()
  }

  private func mark(_ entry: Entry) -> String { entry.kind == .directory ? "/" : "" }

  private func longLine(_ entry: Entry, _ name: String) -> String {
    func right(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    var size = "\(entry.sizeBytes)"
    var target = ""
    switch entry.content {
    case .device(_, let number): size = "\(number.major), \(number.minor)"
    case .symlink(let bytes):
      size = "\(bytes.count)"
      target = " -> \(printable(bytes))"
    case .directory, .unreadableDirectory, .unreadableNode, .fifo, .socket: size = "-"
    case .file, .unreadableFile: break
    }
    return "\(modeText(entry))\(entry.xattrs == nil ? " " : "+") \(right("\(entry.uid)", 5)) "
      + "\(right("\(entry.gid)", 5)) \(right(size, 11))  \(timeText(entry.modified))  \(name)\(target)"
  }
}

struct Find: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "find",
    abstract: "Find entries of a snapshot by name, kind and size.",
    discussion: "Prints paths that REF:PATH takes, one a line, in byte order.")

  @Argument(help: "REF or REF:PATH.") var ref: String
  @Argument(help: "Where to begin; the root tree if it is left out.") var path: String?
  @Option(
    help: ArgumentHelp(
      "A shell pattern for the last component: '*.conf'.", valueName: "glob"))
  var name: String?
  @Option(
    help: ArgumentHelp(
      "f file, d folder, l link, b or c device, p fifo, s socket.", valueName: "letter"))
  var type: String?
  @Option(
    help: ArgumentHelp("Files of more than this: 500, 10k, 1.5M, 2Gi.", valueName: "size"))
  var larger: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var filter = EntryFilter()
    filter.namePattern = name
    filter.kind = try type.map(kind)
    filter.largerThanBytes = try larger.map(size)
    let workspace = try common.open()
    let place: ResolvedReference
    do {
      place = try ResolvedReference(workspace, ref, path: path)
    } catch let error as ImageError
      where error.errorCode == .notFound && path?.contains("/") == false
    {
      throw ImageError(
        .notFound, error.object, error.finding,
        advice: "To find what is called so, write '--name \(path ?? "")'")
    }
    Terminal.finish()
    Output.begin()
    defer { Output.end() }
    var list = try EntryList(json: json.json)
    try place.reader.walk(place.found) { found in
      let name = found.path.split(separator: 0x2f).last.map(Array.init) ?? []
      let isTop = found.path == place.found.path
      if isTop, place.spelling.isEmpty { return }
      guard filter.matches(found.entry, name: name) else { return }
      try list.add(found, place.spell(found))
    }
    try list.end()
  }

  private func kind(_ letter: String) throws -> FileKind {
    let kinds: [String: FileKind] = [
      "f": .file, "d": .directory, "l": .symlink, "b": .blockDevice, "c": .characterDevice,
      "p": .fifo, "s": .socket,
    ]
    guard let kind = kinds[letter] else {
      throw ValidationError("--type is one of f, d, l, b, c, p, s, not '\(letter)'.")
    }
    return kind
  }

  private func size(_ text: String) throws -> UInt64 {
    let units: [String: Double] = [
      "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1024, "Mi": 1_048_576,
      "Gi": 1_073_741_824, "Ti": 1_099_511_627_776,
    ]
    let number = text.prefix { $0.isNumber || $0 == "." }
    guard let value = Double(number), let unit = units[String(text.dropFirst(number.count))],
      let bytes = UInt64(exactly: (value * unit).rounded())
    else { throw ValidationError("--larger takes a size such as 500, 10k or 2Gi, not '\(text)'.") }
    return bytes
  }
}

/// Entries, printed as they come.
struct EntryList {
  private var json: JSONList<EntriesJSON>?

  init(json: Bool) throws { if json { self.json = JSONList() } }

  mutating func add(_ found: FoundEntry, _ line: @autoclosure () -> String) throws {
    if json == nil { print(line()) } else { try json?.add(EntryJSON(found.path, found.entry)) }
  }

  mutating func end() throws { json?.end() }
}
