// imgstore ls.

import ArgumentParser
import Images
import Platform
import Store

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
