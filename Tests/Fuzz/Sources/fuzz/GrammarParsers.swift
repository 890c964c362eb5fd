// Grammars of values, names and lists, and the properties that hold for every input.

import Platform
import Store
import XCAT

/// A column whose values a shell may see, and the purpose of its grammar.
private struct Column {
  let schema: TableSchema
  let name: String
  let grammar: ValueGrammar
  let isPath: Bool
  let isName: Bool

  static let all: [Column] = [
    TableSchema.osimage, .linuximage, .litefile, .kit, .kitrepo, .kitcomponent, .postscripts,
  ].flatMap { schema in
    schema.columns.compactMap { name in
      let grammar = schema.grammar(of: name)
      if grammar == .prose { return nil }
      func takes(_ value: String) -> Bool { grammar.reason(value) == nil }
      return Column(
        schema: schema, name: name, grammar: grammar, isPath: takes("/a") && !takes("/.."),
        isName: !takes("/a") && !takes("..") && !takes("A=/.."))
    }
  }
}

/// Characters that no shell accepts as a part of a word.
private let harmless = Set(
  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+:@%,=/- ".utf8)

/// Whatever fits a column that a shell sees is made of words of the alphabet, with blanks at most; and stays within
/// the directory that it names.
func fuzzValue(_ bytes: [UInt8]) {
  let value = String(decoding: bytes.prefix(1000), as: UTF8.self)
  let isHarmless = value.utf8.allSatisfy(harmless.contains)
  for column in Column.all {
    if let reason = column.grammar.reason(value) {
      hold(!reason.isEmpty && !value.isEmpty, "what does not fit says why")
      continue
    }
    hold(
      isHarmless
        || column.grammar == .comparison
          && value.utf8.allSatisfy { harmless.contains($0) || "<>".utf8.contains($0) },
      "\(column.name) is words")
    hold(value.utf8.first != 0x2d, "\(column.name) is not an option")
    for element in value.split(separator: ",") where column.isPath || column.isName {
      // Arguments of scripts are not paths.
      let path = element.prefix { $0 != " " }
      hold(
        !path.split(separator: "/").contains("..") || path.hasPrefix("http"),
        "\(column.name) stays inside")
      hold(!column.isName || !path.hasPrefix("/"), "\(column.name) is relative")
    }
  }
  for unsafe in UnsafeValue.all(in: ["profile": value, "description": value], of: .osimage) {
    hold(
      !unsafe.text.holdsControlCharacters && unsafe.text.utf8.count < 1000,
      "a message is short text")
  }
}

/// A manifest with values of the input in all columns, which are refused or fit; and whatever the options, names are
/// parts of paths.
func fuzzManifestValue(_ bytes: [UInt8]) {
  let values = String(decoding: bytes, as: UTF8.self).split(
    separator: "\n", omittingEmptySubsequences: false
  ).map(String.init)
  var manifest = Manifest()
  for (i, column) in TableSchema.osimage.columns.enumerated() where i < values.count {
    manifest.osimage[column] = values[i]
  }
  for (i, column) in TableSchema.linuximage.columns.enumerated() where i + 1 < values.count {
    manifest.linuximage[column] = values[i + 1]
  }
  manifest.values = ["postscripts": values[0], "kernel": values.last ?? ""]
  let allows = [false, true].map { allowed -> Bool in
    do throws(XCATError) {
      try manifest.refuseHarmfulText(allowsUnsafeValues: allowed)
      return true
    } catch {
      hold(
        !error.messageWithHint.holdsControlCharacters || error.messageWithHint.contains("\n"),
        "an error is text")
      return false
    }
  }
  hold(!allows[0] || allows[1], "an option allows more, never less")
  hold(!allows[0] || manifest.unsafeValues.isEmpty, "what is taken fits")
  if allows[1] {
    for column in ["profile", "osvers", "osarch"] {
      let value = manifest.osimage[column] ?? ""
      hold(!value.contains("/") && value != ".." && value != ".", "names are parts of paths")
    }
  }
}

/// Lists that include each other, all of one content.
func fuzzExcludes(_ bytes: [UInt8]) {
  guard let file = AbsolutePath("/install/custom/a.exlist") else { return }
  guard
    let list = try? ExcludeList.parse(
      files: [file],
      read: { path in
        // Each name that an include gives has the input's second half.
        path == file
          ? bytes : path.bytes.count % 3 == 0 ? nil : Array(bytes.suffix(bytes.count / 2))
      })
  else { return }
  for path in ["./etc/passwd", ".", "./usr/share/doc/a", "./a b/*"]
    + list.excludes.prefix(50).map({
      String(decoding: $0, as: UTF8.self)
    })
  {
    let keeps = list.keeps(Array(path.utf8))
    hold(keeps == list.keeps(Array(path.utf8)), "a path has one answer")
  }
}

/// The lines of a synclist are its sources, its comments, or ignored.
func fuzzSynclist(_ bytes: [UInt8]) {
  let list = Synclist(bytes, variables: ["A": "x", "LONG": String(repeating: "y", count: 100)])
  let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false).count
  for source in list.sources {
    hold((1...lines).contains(source.line), "a source has a line")
    hold(!source.path.contains(0x0a), "a source is in one line")
  }
  hold(list.ignoredLines.allSatisfy { (1...lines).contains($0) }, "ignored lines are lines")
  let view = FileProvider(
    kind: { _ in .file }, read: { _ in bytes }, list: { _ in [[0x61], [0x2e]] })
  _ = try? SyncCopies(bytes, variables: ["A": "x"], in: view)
}

/// All that an image needs, where every list, template and partition file has the input as content.
func fuzzClosure(_ bytes: [UInt8]) {
  guard let install = AbsolutePath("/install") else { return }
  let list = "/install/custom/a"
  let definition = ImageDefinition(
    osimage: [
      "provmethod": "netboot", "osvers": "rhels9", "osarch": "x86_64", "profile": "p",
      "synclists": list,
      "environvar": "A=x,B=y",
    ],
    linuximage: [
      "pkglist": list, "otherpkglist": list, "exlist": list, "template": list,
      "partitionfile": "s:" + list,
      "rootimgdir": "/install/netboot/rhels9/x86_64/p", "postinstall": list + " arg",
    ])
  let view = FileProvider(
    kind: { $0.bytes.count % 5 == 0 ? .absent : .file },
    read: { $0.bytes.count % 5 == 0 ? nil : bytes }, list: { _ in [] })
  let closure = ImageDependencies(of: definition, installDirectory: install, in: view)
  hold(
    !closure.needed.contains { $0.path.components.contains([0x2e, 0x2e]) },
    "what is needed has clean paths")
  hold(Set(closure.needed.map(\.path)).count == closure.needed.count, "each path is needed once")
}

/// Names of files for people give their bytes back; names of images are names of directories.
func fuzzName(_ bytes: [UInt8]) {
  let text = printable(bytes)
  hold(XCATSpelling.bytes(text) == bytes, "a spelling gives its bytes back")
  hold(!text.holdsControlCharacters, "a spelling steers nothing")
  hold(
    text.unicodeScalars.allSatisfy { !$0.properties.isDefaultIgnorableCodePoint },
    "a spelling shows all of itself")
  guard let name = try? ImageName(String(decoding: bytes, as: UTF8.self)) else { return }
  hold(!name.bytes.contains(0x2f) && name.text != ".." && name.text != ".", "a name is a folder's")
  if name.isPlain {
    hold(name.bytes.allSatisfy { $0 < 0x7f && $0 > 0x20 }, "a plain name is ASCII")
    hold((try? name.requirePlain()) != nil, "a plain name is allowed")
  }
  _ = try? RemoteFile(host: name.text, path: name.text)
}

private enum XCATSpelling {
  static func bytes(_ text: String) -> [UInt8]? { Platform.bytes(fromPrintable: text) }
}

/// However text is cut, it is shown as the same, and steers nothing.
func fuzzTerminal(_ input: [UInt8]) {
  let cut = Int(input.first ?? 1) % 7 + 1
  var whole = TerminalText()
  let shown = whole.escaped(input) + whole.end()
  var segmented = TerminalText()
  var shownInParts: [UInt8] = []
  for start in stride(from: 0, to: input.count, by: cut) {
    shownInParts += segmented.escaped(input[start..<min(start + cut, input.count)])
  }
  shownInParts += segmented.end()
  hold(shown == shownInParts, "cuts change nothing")
  guard let text = String(validating: shown, as: UTF8.self) else {
    return hold(false, "it is UTF-8")
  }
  hold(
    !text.unicodeScalars.contains { $0 != "\n" && $0 != "\t" && String($0).holdsControlCharacters },
    "it steers nothing")
}

/// Mount tables of the kernel.
func fuzzMounts(_ bytes: [UInt8]) { _ = MountTable(parsing: bytes) }

/// The seeds for fuzzing grammars.
enum GrammarSeeds {
  static func of(_ parser: Parser) -> [[UInt8]] {
    let texts: [String]
    switch parser {
    case .value:
      texts = [
        "/install/a,/b", "name", "A=1,B=2", "755", "link,persistent", "a >= 1.2",
        "http://m/u x main",
        "s:d:/a", "x /etc", "../../etc", "-rf", "$(id)", "a b", "",
      ]
    case .manifestvalue:
      texts = [
        "img\n\ncompute\nlinux\nx\nnetboot", "img\n/install/a\nrhels9\nx86_64\n-rf\n$(id)\n/a b",
      ]
    case .excludes:
      texts = [
        "./usr/share/man*\n+./usr/share/man/a\n", "#INCLUDE:b.exlist#\n./a[a-z]?\n", "-path '*'\n",
        "# c\n\n./a b\n#INCLUDE:/install/custom/a.exlist#",
      ]
    case .synclist:
      texts = [
        "/a -> /b\n/c /d* -> (n1,n2) /e/\n",
        "EXECUTE:\n/x/y.post\nAPPEND:\n/a -> /b\nMERGE:\n/p -> /etc/passwd\n",
        "# c\n$A/x -> ${LONG}/y\n -> \n", "a -> b -> c\nEXECUTEALWAYS:\nz",
      ]
    case .closure:
      texts = [
        "#INCLUDE:b#\n@group\n-x\n", "/a -> /b\nEXECUTE:\n/c\n#INCLUDE_PKGLIST:/x#",
        "#ENV:A#/$B\n#INCLUDE:$A/x#",
        "part / --fstype ext4\n#INCLUDE:../../etc/shadow#\n",
      ]
    case .name: texts = ["compute", "a\u{200b}", "\\xff\\n", "../x", "a b", "-oX", "user@h"]
    case .terminal: texts = ["\u{1}a\u{1b}[2Jx\n", "\u{3}grün\u{9b}\u{202e}\t", "\u{2}\u{1f600}"]
    case .mounts:
      texts = [
        "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
        "22 1 0:20 / /a\\040b rw - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/u,workdir=/w\n",
      ]
    default: texts = []
    }
    return texts.map { Array($0.utf8) }
  }
}
