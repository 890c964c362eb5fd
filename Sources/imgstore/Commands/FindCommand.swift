// imgstore find.

import ArgumentParser
import Images

struct FindCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "find",
    abstract: "Find entries of a snapshot by name, kind and size",
    discussion: "The command prints paths for REF:PATH, one per line, in byte order.")

  @Argument(help: "REF or REF:PATH") var ref: String
  @Argument(help: "Directory to search (default: the root tree)") var path: String?
  @Option(
    help: ArgumentHelp(
      "Find names that match this shell pattern: '*.conf'", valueName: "glob"))
  var name: String?
  @Option(
    help: ArgumentHelp(
      "Find entries of this kind: f file, d directory, l link, b or c device, p fifo, s socket",
      valueName: "letter"))
  var type: String?
  @Option(
    help: ArgumentHelp("Find files larger than SIZE bytes: 500, 10k, 1.5M, 2Gi", valueName: "size"))
  var larger: String?
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func run() throws {
    var filter = EntryFilter()
    filter.namePattern = name
    filter.kind = try type.map(kind)
    filter.largerThanBytes = try larger.map(size)
    let workspace = try common.open()
    let start: ResolvedReference
    do {
      start = try ResolvedReference(workspace, ref, path: path)
    } catch let error as ImageError
      where error.errorCode.category == .notFound && path?.contains("/") == false
    {
      throw ImageError(
        .pathNotFound, error.subject, error.reason,
        hint: "To search by name, write '--name \(path ?? "")'")
    }
    Terminal.finish()
    StandardOutput.begin()
    defer { StandardOutput.end() }
    var list = try EntryList(json: json.json)
    try start.reader.walk(start.found) { found in
      let name = found.address.name
      let isTop = found.path == start.found.path
      if isTop, start.spelling.isEmpty { return }
      guard filter.matches(found.entry, name: name) else { return }
      try list.add(found, start.spell(found))
    }
    try list.end()
  }

  private func kind(_ letter: String) throws -> FileKind {
    let kinds: [String: FileKind] = [
      "f": .file, "d": .directory, "l": .symlink, "b": .blockDevice, "c": .characterDevice,
      "p": .fifo, "s": .socket,
    ]
    guard let kind = kinds[letter] else {
      throw ValidationError("invalid type '\(letter)'; use f, d, l, b, c, p or s.")
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
    else { throw ValidationError("invalid size '\(text)'; use 500, 10k or 2Gi.") }
    return bytes
  }
}
