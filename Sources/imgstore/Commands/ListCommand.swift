// imgstore ls.

import ArgumentParser
import Images

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List a directory of a snapshot",
    discussion: """
      REF alone lists the top of the root tree. PATH is a path inside the root tree, or an absolute \
      path of the management node. The command follows links to directories, as in a chroot.
      """)

  @Argument(help: "REF or REF:PATH") var ref: String
  @Argument(help: "Path, if REF has none") var path: String?
  @Flag(name: .customShort("l"), help: "Print kind, mode, owner, size and time, too") var long =
    false
  @Flag(name: .customShort("a"), help: .hidden) var all = false
  @Flag(name: [.customShort("R"), .long], help: "List directories recursively, one path per line")
  var recursive = false
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    let target = try ResolvedReference(try common.open(), ref, path: path)
    Terminal.finish()
    StandardOutput.begin()
    defer { StandardOutput.end() }
    var list = try EntryList(json: json.json)
    let isDirectory = target.found.entry.kind == .directory
    let prefix = target.found.path.count + (isDirectory ? 1 : 0)
    func show(_ found: LocatedEntry) throws {
      // Names are relative to the directory. A file keeps the caller's spelling.
      let name = isDirectory ? printable(found.path.dropFirst(prefix)) : target.spelling
      try list.add(found, long ? longLine(found.entry, name) : name + mark(found.entry))
    }
    if !isDirectory {
      try show(target.found)
    } else if recursive {
      try target.reader.walk(target.found) { found in
        if found.path != target.found.path { try show(found) }
      }
    } else {
      for child in try target.reader.children(of: target.found) { try show(child) }
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
