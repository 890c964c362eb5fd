// imgstore show.

import ArgumentParser
import Images

struct ShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Show a snapshot, or an entry inside it",
    discussion: """
      REF:PATH shows one entry: its attributes and, for a file, the SHA-256 of its content.

      With -z, the command prints the definition as a stanza: for NAME that of xCAT's tables, for \
      NAME@… that of the snapshot.

      Each signature is checked against the trusted keys and its statement. 'verify --signatures' \
      also compares the statement with the content of the snapshot.
      """)

  @Argument(help: "REF or REF:PATH") var ref: String
  @Flag(name: .customShort("z"), help: "Print the definition as a stanza, as lsdef -z does")
  var stanza = false
  @OptionGroup var trusted: TrustedKeysOption
  @OptionGroup var json: JSONFlag
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if stanza, json.json { throw ValidationError("-z and --json exclude each other.") }
  }

  func run() throws {
    let workspace = try common.open()
    if stanza {
      let text = try workspace.stanza(of: ref)
      Terminal.finish()
      return print(text, terminator: "")
    }
    let reference = try PathReference(ref)
    let image = reference.snapshot.image
    let isImage = reference.path == nil && reference.snapshot.selector == .latest
    let snapshot =
      try isImage
      ? reportingNodes(of: image, workspace, json) { try workspace.find(reference.snapshot) }
      : workspace.find(reference.snapshot)
    let tags = try workspace.tags(of: snapshot)
    let pin = try workspace.pin(of: snapshot)
    let entry = try reference.path.map { try workspace.findEntry($0, in: snapshot) }
    let signatures =
      reference.path == nil
      ? try workspace.signatures(
        of: snapshot, workspace.trustedKeys(trusted.trustedKeys), recomputes: false) : []
    Terminal.finish()
    if let entry {
      if json.json { return try printJSON(entry) }
      return show(entry)
    }
    if json.json {
      return try printJSON(
        SnapshotJSON(
          committed: snapshot, tags: tags, pin: pin, full: true,
          pulledFrom: try workspace.origin(of: snapshot), signatures: signatures))
    }
    let nodes = isImage ? NodeCheck(workspace, snapshot.snapshot.image) : nil
    if let problem = nodes?.problem { Terminal.warning(problem) }
    show(snapshot, tags, pin, signatures, nodes?.line, try workspace.origin(of: snapshot))
  }

  private func show(_ found: LocatedEntry) {
    let entry = found.entry
    print(
      "\(modeText(entry)) \(entry.uid):\(entry.gid) \(timeText(entry.modified))  \(printable(found.path))"
    )
    switch entry.content {
    case .file(let blob, let size):
      print("  \(entry.mayHaveSparseID ? "id" : "sha256") \(blob)\n  \(size) bytes")
    case .unreadableFile, .unreadableNode: print("  could not be read when the snapshot was taken")
    case .directory(let tree): print("  tree \(tree)")
    case .unreadableDirectory: print("  could not be read when the snapshot was taken")
    case .symlink(let target): print("  -> \(printable(target))")
    case .device(_, let number): print("  device \(number.major):\(number.minor)")
    case .fifo, .socket: break
    }
    if entry.linkGroup != 0 { print("  one of several hard links") }
    if entry.xattrs != nil { print("  has extended attributes") }
    if entry.holes != nil { print("  is sparse") }
    if !entry.flags.isEmpty { print("  has the flags \(entry.flags.letters) (lsattr)") }
  }

  private func show(
    _ found: CommittedSnapshot, _ tags: [String], _ pin: String?, _ signatures: [SignatureStatus],
    _ nodes: String?, _ origin: OriginRecord?
  ) {
    let snapshot = found.snapshot
    print("\(found.name)  \(found.id)")
    var rows = [["taken", timeText(snapshot.created)]]
    rows.append(["by", snapshot.provenance.map { "\($0.key) \($0.value)" }.joined(separator: ", ")])
    if !snapshot.message.isEmpty { rows.append(["message", printable(snapshot.message.utf8)]) }
    if let origin {
      let name = origin.snapshot.map { " \($0)" } ?? ""
      rows.append([
        "from",
        "\(printable(origin.url.utf8))\(name), \(timeText(origin.pulled)) by \(origin.user)",
      ])
    }
    if !tags.isEmpty { rows.append(["tags", tags.joined(separator: ", ")]) }
    if let pin { rows.append(["pinned", pin.isEmpty ? "yes" : printable(pin.utf8)]) }
    if let parent = snapshot.parent { rows.append(["parent", parent.shortHex]) }
    rows.append([
      "holds", "\(count(snapshot.entryCount, "entry")), \(sizeText(snapshot.contentBytes))",
    ])
    rows.append(["complete", snapshot.isComplete ? "yes" : "no, see the notes"])
    for status in signatures {
      rows.append(["signed", signatureText(status)])
      if status.kind == .signed { rows.append(["", status.signatureFile]) }
    }
    print(table(rows, indent: "  "))
    if let nodes { print("  \(nodes)") }
    print("\nFiles")
    print(
      table(
        snapshot.components.map { component in
          [
            component.role.text, modeText(component.entry),
            component.entry.kind == .directory ? "tree" : sizeText(component.entry.sizeBytes),
            (component.entry.blob ?? component.entry.tree)?.shortHex ?? "-",
            printable(component.path),
          ]
        }, indent: "  "))
    for definition in snapshot.tables {
      print("\nTable \(definition.name)")
      for row in definition.rows {
        for (column, value) in row.sorted(by: { $0.key < $1.key }) {
          for line in value.split(separator: "\n") { print("  \(column)=\(line)") }
        }
      }
    }
    if !snapshot.notes.isEmpty {
      print("\nNotes")
      for note in snapshot.notes { print("  " + noteText(note)) }
    }
  }
}

extension Snapshot.Note {
  /// Whether commands print the note each time. Excluded files and file systems mounted above the image's
  /// files are normal, so they are not printed.
  var isRemark: Bool { !isProblem && kind != .mountedFolder && kind != .excluded }
}

/// Returns a line for each gap of a snapshot, for commands that write the snapshot somewhere else.
func gapLines(_ gaps: [Snapshot.Note], of snapshot: CommittedSnapshot) -> [String] {
  gaps.map { "\(snapshot.name) is incomplete: \(noteText($0))" }
}
