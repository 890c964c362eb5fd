// The parsers of text, and what holds for whatever they are given: what parses renders, and what was
// rendered parses to the same.

import Settings
import Signatures
import XCAT

/// A table's dump.
func fuzzCSV(_ bytes: [UInt8]) {
  let table: TabdumpCSV
  do { table = try TabdumpCSV.parse(bytes, "fuzz") } catch {
    hold(!error.messageWithHint.isEmpty, "an error explains itself")
    return
  }
  do {
    let again = try TabdumpCSV.parse(Array(table.render().utf8), "again")
    hold(again.columns == table.columns, "columns come back")
    // A row without any value is a row of commas: of one column, it is a blank line, which is none.
    hold(
      again.rows == table.rows || table.columns.count == 1 && table.rows.contains([:]),
      "rows come back")
  } catch { hold(false, "what was rendered parses: \(error.messageWithHint)") }
}

/// A bundle's litefile.csv.
func fuzzLitefile(_ bytes: [UInt8]) {
  guard let rows = try? LitefileRows.parse(bytes) else { return }
  for row in rows {
    hold(!row.options.isEmpty && row.file.utf8.first == 0x2f, "a row has a path and options")
  }
  do {
    let text = try LitefileRows.render(image: "image", rows)
    hold(try LitefileRows.parse(Array(text.utf8)) == rows, "rendered and parsed again is the same")
  } catch { hold(false, "what was parsed renders: \(error)") }
}

/// Stanzas, of both writers, for both readers.
func fuzzStanza(_ bytes: [UInt8]) {
  for writer in [StanzaFile.Writer.lsdef, .anybody] {
    guard let objects = try? StanzaFile.parse(bytes, from: writer) else { continue }
    for reader in [StanzaFile.Reader.anybody, .xCAT] {
      guard let text = try? StanzaFile.render(objects, for: reader) else { continue }
      do {
        hold(
          try StanzaFile.parse(Array(text.utf8), from: .anybody) == objects,
          "stanzas come back")
      } catch { hold(false, "what was rendered parses: \(error.messageWithHint)") }
    }
  }
}

/// A pattern, a line break, and a text to look for it in.
func fuzzPattern(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  let cut = text.utf8.firstIndex(of: 0x0a) ?? text.endIndex
  let subject = String(text[cut...])
  guard let pattern = try? PerlPattern(String(text[..<cut])),
    let match = try? pattern.firstMatch(in: subject)
  else { return }
  let all = 0..<subject.utf8.count
  for range in [match.range] + match.groups.compactMap({ $0 }) {
    hold(range.lowerBound >= all.lowerBound && range.upperBound <= all.upperBound, "it is inside")
  }
}

/// A signed statement, or a key.
func fuzzStatement(_ bytes: [UInt8]) {
  if let statement = try? Statement(parsing: bytes) {
    hold((try? statement.render()) == bytes, "a statement has one text")
    hold(bytes.count <= Statement.maxBytes, "a statement is at most 1 MiB")
    hold(statement.number > 0, "a number is one of a snapshot")
  }
  if let key = try? PublicKey(pem: bytes, name: "fuzz") {
    hold((try? PublicKey(pem: key.pem, name: "again")) == key, "a key comes back")
    hold(!key.verify([UInt8](repeating: 0, count: 63), of: bytes), "a short signature is none")
  }
  if let key = try? SigningKey(pem: bytes, name: "fuzz"), let signature = try? key.sign(bytes) {
    hold(key.publicKey.verify(signature, of: bytes), "its own signature is valid")
  }
}

/// A configuration file.
func fuzzConfiguration(_ bytes: [UInt8]) {
  let (configuration, errors) = ConfigurationReader.read(bytes, path: "/fuzz")
  let lines = bytes.count { $0 == 0x0a } + 1
  hold(
    errors.allSatisfy { (1...lines).contains($0.line ?? 0) && !$0.reason.isEmpty },
    "an error has its line and a reason")
  if !errors.isEmpty { return }
  let listed = configuration.listed()
  let text = listed.map { "\($0.key) = \($0.value)" }.joined(separator: "\n")
  let again = ConfigurationReader.read(Array(text.utf8), path: "/again")
  hold(again.errors.isEmpty, "listed settings are a file without errors")
  hold(
    again.configuration.listed().map(\.value).sorted() == listed.map(\.value).sorted(),
    "listed settings come back")
}

/// The seeds for fuzzing text.
enum TextSeeds {
  static func of(_ parser: Parser) -> [[UInt8]] {
    let texts: [String]
    switch parser {
    case .litefile:
      texts = [
        "", "# comment\n", "\"image\",\"/etc/hosts\",\"tmpfs,rw\",,\n",
        "\"image\",\"/var/lib/\",\"persistent\",\"a \"\"quoted\"\" word\",\"1\"\r\n",
        "image,/etc/motd,ro\n\n\"image\",\"/root/.ssh/\",\"\",,\n",
      ]
    case .csv:
      texts = [
        "#a\n", "#image,file,options,comments,disable\n\"ALL\",\"/etc/hosts\",\"tmpfs,rw\",,\n",
        "#node,groups\n\"n1\",\"all,compute\"\n\"n2\",\"line\nbreak\"\n\"n3\",\"\"\"q\"\"\"\n",
        "#a,b\r\n1,2\r\n\r\n,\r\n",
      ]
    case .stanza:
      texts = [
        "# <xCAT data object stanza file>\n\nimage:\n    objtype=osimage\n    profile=compute\n",
        "a,b:\n  objtype=node\n  arch=\"x86_64\"\n  comment='x:'\n",
        "xcatdefaults:\n objtype=osimage\n pkglist=/a,/b\n x=\n", "n:\nobjtype=node\n\n\nm:\n",
      ]
    case .pattern:
      texts = [
        "^n(\\d+)$\nn12", "(a|b)*c\naabbc", "[a-f[:digit:]]{2,3}?\nzzab1",
        "\\bx(?:y|z)+\\w*\n xyzz",
        "(?i)a.b\\\\\nA-B\\", "(a*)*b\n" + String(repeating: "a", count: 40),
      ]
    case .statement:
      let digest = String(repeating: "2d", count: 32)
      let head =
        "image a\\x20b\nnumber 3\nsnapshot \(digest)\nparent -\ntime -1.000000007\n"
        + "host h\nuser 0\ncommand snapshot\nmessage -\n"
      texts = [
        "imgstore signed snapshot 1\n\(head)row osimage osarch=x86_64 profile=-\n"
          + "fact extra-src /a\nfile kernel /k 0644 0 0 -5 3 \(digest)\n"
          + "link extra /l 0777 0 0 0 \\xff\n"
          + "tree rootimg /t 4755 1 4294967295 9 7 \(digest) \(digest) \(digest)\n",
        "imgstore signed bundle 1\n\(head)folder member extra 0755 0 0 1 2 \(digest)\n"
          + "other member x 0000 0 0 1 fifo\n",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA/O6NLKoYWMTGbmO/PM4EPwL57LGD+xoVnjzW8K1GUdw=\n"
          + "-----END PUBLIC KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n"
          + "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
          + "-----END PRIVATE KEY-----\n",
      ]
    case .configuration:
      texts = [
        "store = \"/srv\"\n[cache]\nsegments = '4GiB'\n[maintain]\nverify-time = 1_800\n",
        "[image.\"a*\"]\nschedule = \"6h\"\nexcludes = [\"*.log\", '/tmp/*'] # x\n",
        "[image]\na.retention = { keep-last = 0x3, keep-tagged = true }\na.pack.method = 'tar'\n",
        "[[a]]\nb = 1979-05-27 07:32:00.5+01:00\n[a.c]\nd = -1.5e+3\ne = \"\"\"\\\n \\u00e9\"\"\"\n",
      ]
    default: texts = []
    }
    return texts.map { Array($0.utf8) }
  }
}
