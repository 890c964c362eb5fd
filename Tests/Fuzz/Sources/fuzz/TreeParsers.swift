// The cpio reader, and the whole reader of bundles with a store in a temporary directory.

import Archive
import Codec
import Glibc
import HostileBundles
import Ingest
import Platform
import Store

/// The members that a cpio reader found.
private struct Found: Equatable {
  var members: [CpioMember] = []
  var contentBytes: UInt64 = 0
  var content = CRC32()
  var failed = false
}

private func readCpio(_ source: @escaping ByteSource, chunk: Int) -> Found {
  var found = Found()
  let cpio = CpioReader(source)
  var buffer = [UInt8](repeating: 0, count: chunk)
  do {
    while let member = try cpio.next() {
      found.members.append(member)
      if found.members.count % 3 == 0 { continue }
      var read: UInt64 = 0
      while true {
        let n = try buffer.withUnsafeMutableBytes { try cpio.read($0) }
        if n == 0 { break }
        read += UInt64(n)
        buffer.withUnsafeBytes { found.content.update(UnsafeRawBufferPointer(rebasing: $0[..<n])) }
      }
      hold(read == member.sizeBytes, "a member gives as many bytes as its size says")
      found.contentBytes += read
    }
  } catch {
    // How much of a content was handed out before its sum was found wrong is not the point.
    return Found(members: found.members, failed: true)
  }
  return found
}

/// However the bytes arrive, the same members come out; what was read whole and is written again
/// reads as the same.
func fuzzCpio(_ bytes: [UInt8]) {
  let found = readCpio(Input(bytes, step: .max).read, chunk: 4096)
  hold(readCpio(Input(bytes, step: 100).read, chunk: 333) == found, "short reads change nothing")
  hold(found.contentBytes <= UInt64(bytes.count), "no more content than input")
  for member in found.members {
    hold(
      !member.path.contains(0) && member.path.count <= CpioFormat.maxNameBytes, "names are names")
    hold(member.kind == .file || member.sizeBytes == 0, "only files have content")
  }
  var output: [UInt8] = []
  let kept = found.members.filter { $0.sizeBytes == 0 }
  do {
    for member in kept { output += try member.header() }
    output += CpioMember.end(after: UInt64(output.count))
  } catch { hold(false, "what was read can be written: \(error)") }
  let again = readCpio(Input(output, step: .max).read, chunk: 4096)
  hold(!again.failed && again.members == kept, "written and read is the same")
}

/// A store that many inputs share; a new session now and then gives back what the last one wrote.
private final class Target {
  private let store: ObjectStore
  private var session: WriteSession?
  private var count = 0

  init() {
    var template = Array(
      "\(String(cString: getenv("TMPDIR") ?? strdup("/tmp")))/fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("no temporary folder") }
    let path = template.dropLast().map { UInt8(bitPattern: $0) } + Array("/store".utf8)
    do {
      store = try ObjectStore(
        KernelFileSystem.shared, path: path, create: true, report: { _ in })
    } catch { fatalError("no store: \(error)") }
  }

  func next() -> WriteSession {
    count += 1
    if count % 5000 == 0 { session = nil }
    if let session { return session }
    var tuning = StoreTuning()
    tuning.workers = 1
    do {
      let newSession = try store.beginSession(tuning)
      session = newSession
      return newSession
    } catch { fatalError("no session: \(error)") }
  }
}

nonisolated(unsafe) private let target = Target()

/// Two layers as an import reads them: the halves of a plain tar whose header sums are made right, or the
/// same tar twice.
func fuzzLayer(_ bytes: [UInt8]) {
  let tar = withRightSums(bytes)
  let cut = bytes.count > 1024 && bytes.count % 2 == 0 ? tar.count / 1024 * 512 : tar.count
  let parts = [Array(tar[..<cut]), cut == tar.count ? tar : Array(tar[cut...])]
  do {
    let tree = try target.next().withWorker { worker in
      var reader = LayerReader(worker: worker, progress: Progress())
      for part in parts {
        let input = Input(part, step: 4000)
        _ = try reader.apply { input.read($0) }
      }
      return try reader.finish()
    }
    hold(tree.entry.kind == .directory && tree.entryCount > 0, "a tree is a directory")
  } catch let error as any ExplainedError {
    hold(!error.messageWithHint.isEmpty, "an error explains itself")
    hold(
      error.messageWithHint.unicodeScalars.allSatisfy {
        $0 == "\n" || $0.properties.generalCategory != .control
      }, "nothing in it steers a terminal")
  } catch { hold(false, "an error without words: \(error)") }
}

/// A bundle as an import reads it: a plain tar whose header sums are made right.
func fuzzReader(_ bytes: [UInt8]) {
  let input = Input(withRightSums(bytes), step: 4000)
  do {
    let reader = UnsafeReader(input: input)
    let images = try BundleReader(progress: Progress()).read(
      { reader.input.read($0) }, into: target.next())
    for image in images {
      for (name, entry) in image.entries {
        let parts = name.utf8.split(separator: 0x2f, omittingEmptySubsequences: false)
        hold(
          parts.allSatisfy { !$0.isEmpty && !$0.elementsEqual("..".utf8) && $0.count <= 255 },
          "names lead nowhere")
        hold(!name.holdsControlCharacters, "names are text")
        if case .symlink(let target) = entry.content {
          hold(target.first != 0x2f && !target.isEmpty, "links are relative")
        }
        if let last = name.utf8.lastIndex(of: 0x2f), !image.directory.isEmpty {
          let above = String(name[..<last])
          if let parent = image.entries[above], case .directory = parent.content {
          } else {
            hold(image.entries[above] == nil, "what is above is a folder")
          }
          hold(image.isDirectory(above) && image.names(below: above).count > 0, "a folder is found")
        }
      }
    }
  } catch let error as any ExplainedError {
    hold(!error.messageWithHint.isEmpty, "an error explains itself")
    hold(
      error.messageWithHint.unicodeScalars.allSatisfy {
        $0 == "\n" || $0.properties.generalCategory != .control
      }, "nothing in it steers a terminal")
  } catch { hold(false, "an error without words: \(error)") }
}

private struct UnsafeReader: @unchecked Sendable {  // one thread reads
  let input: Input
}
