// Huffman codes as zlib and GNU gzip construct them from the frequencies of a block (RFC 1951, section
// 3.2.2). Other constructions give codes of the same total length but with other bits, so each detail
// counts: the order of the heap, the depth that decides between equal frequencies, and how lengths over
// the limit are shortened.
//
// 1. The number of symbols is fixed when a code is created, and no frequency may exceed 2^16.

/// A Huffman code that is built from frequencies. Belongs to one thread at a time.
final class DeflateHuffmanCode {
  /// The number of symbols.
  let symbolCount: Int
  private let maxLength: Int
  /// The frequency of each symbol, then of the inner nodes.
  let frequencies: UnsafeMutablePointer<UInt32>
  /// The length of each symbol's code in bits; 0 if it does not occur. Inner nodes follow.
  let lengths: UnsafeMutablePointer<UInt16>
  /// The bits of each symbol's code, in the order of output.
  let codes: UnsafeMutablePointer<UInt16>
  /// The largest symbol that occurs.
  private(set) var maxSymbol = 0
  private let parents: UnsafeMutablePointer<UInt16>
  private let depths: UnsafeMutablePointer<UInt8>
  /// The heap in elements 1 to `heapCount`; the finished nodes from `sortedStart` to the end, in the order of
  /// falling frequency.
  private let heap: UnsafeMutablePointer<Int>
  private let nodeCapacity: Int
  private var heapCount = 0
  private var sortedStart = 0
  private var lengthCounts = [Int](repeating: 0, count: 16)

  /// Creates a code without frequencies.
  init(symbolCount: Int, maxLength: Int) {
    self.symbolCount = symbolCount
    self.maxLength = maxLength
    nodeCapacity = 2 * symbolCount + 1
    frequencies = .allocate(capacity: nodeCapacity)
    frequencies.initialize(repeating: 0, count: nodeCapacity)
    lengths = .allocate(capacity: nodeCapacity)
    lengths.initialize(repeating: 0, count: nodeCapacity)
    codes = .allocate(capacity: nodeCapacity)
    codes.initialize(repeating: 0, count: nodeCapacity)
    parents = .allocate(capacity: nodeCapacity)
    parents.initialize(repeating: 0, count: nodeCapacity)
    depths = .allocate(capacity: nodeCapacity)
    depths.initialize(repeating: 0, count: nodeCapacity)
    heap = .allocate(capacity: nodeCapacity + 1)
    heap.initialize(repeating: 0, count: nodeCapacity + 1)
  }

  deinit {
    frequencies.deallocate()
    lengths.deallocate()
    codes.deallocate()
    parents.deallocate()
    depths.deallocate()
    heap.deallocate()
  }

  /// Sets all frequencies to zero.
  func clear() { frequencies.update(repeating: 0, count: symbolCount) }

  /// Computes `lengths` and `codes`. Two symbols get a code even if fewer occur.
  /// - Returns: the symbols that got a frequency of 1 although they do not occur.
  @discardableResult
  func build() -> [Int] {
    heapCount = 0
    sortedStart = nodeCapacity
    maxSymbol = -1
    for symbol in 0..<symbolCount {
      lengths[symbol] = 0
      guard frequencies[symbol] != 0 else { continue }
      push(symbol)
    }
    var added: [Int] = []
    while heapCount < 2 {
      let symbol = maxSymbol < 2 ? maxSymbol + 1 : 0
      let largest = max(maxSymbol, symbol)
      frequencies[symbol] = 1
      push(symbol)
      maxSymbol = largest
      added.append(symbol)
    }
    for index in stride(from: heapCount / 2, through: 1, by: -1) { sink(index) }
    combine()
    assignLengths()
    assignCodes()
    return added
  }

  private func push(_ symbol: Int) {
    heapCount += 1
    heap[heapCount] = symbol
    maxSymbol = symbol
    depths[symbol] = 0
  }

  @inline(__always) private func isSmaller(_ a: Int, _ b: Int) -> Bool {
    frequencies[a] < frequencies[b] || frequencies[a] == frequencies[b] && depths[a] <= depths[b]
  }

  /// Moves the node at `start` down until both of its children are larger.
  private func sink(_ start: Int) {
    let node = heap[start]
    var index = start
    var child = 2 * start
    while child <= heapCount {
      if child < heapCount, isSmaller(heap[child + 1], heap[child]) { child += 1 }
      if isSmaller(node, heap[child]) { break }
      heap[index] = heap[child]
      index = child
      child *= 2
    }
    heap[index] = node
  }

  /// Joins the two least frequent nodes until one is left.
  private func combine() {
    var next = symbolCount
    repeat {
      let first = heap[1]
      heap[1] = heap[heapCount]
      heapCount -= 1
      sink(1)
      let second = heap[1]
      heap[sortedStart - 1] = first
      heap[sortedStart - 2] = second
      sortedStart -= 2
      frequencies[next] = frequencies[first] + frequencies[second]
      depths[next] = max(depths[first], depths[second]) &+ 1
      parents[first] = UInt16(truncatingIfNeeded: next)
      parents[second] = UInt16(truncatingIfNeeded: next)
      heap[1] = next
      next += 1
      sink(1)
    } while heapCount >= 2
    sortedStart -= 1
    heap[sortedStart] = heap[1]
  }

  private func assignLengths() {
    for bits in 0...15 { lengthCounts[bits] = 0 }
    lengths[heap[sortedStart]] = 0
    var excess = 0
    for index in sortedStart + 1..<nodeCapacity {
      let node = heap[index]
      var bits = Int(lengths[Int(parents[node])]) + 1
      if bits > maxLength {
        bits = maxLength
        excess += 1
      }
      lengths[node] = UInt16(bits)
      if node <= maxSymbol { lengthCounts[bits] += 1 }
    }
    if excess > 0 { shorten(excess) }
  }

  /// Moves symbols down the tree until no code is too long, then assigns the lengths again, the shortest to
  /// the most frequent symbols.
  private func shorten(_ excess: Int) {
    var left = excess
    repeat {
      var bits = maxLength - 1
      while lengthCounts[bits] == 0 { bits -= 1 }
      lengthCounts[bits] -= 1
      lengthCounts[bits + 1] += 2
      lengthCounts[maxLength] -= 1
      left -= 2
    } while left > 0
    var index = nodeCapacity
    for bits in stride(from: maxLength, to: 0, by: -1) {
      var count = lengthCounts[bits]
      while count > 0 {
        index -= 1
        guard heap[index] <= maxSymbol else { continue }
        lengths[heap[index]] = UInt16(bits)
        count -= 1
      }
    }
  }

  private func assignCodes() {
    var next = [UInt32](repeating: 0, count: 16)
    var code: UInt32 = 0
    for bits in 1...15 {
      code = (code + UInt32(bits == 1 ? 0 : lengthCounts[bits - 1])) << 1
      next[bits] = code
    }
    for symbol in 0...maxSymbol {
      let length = Int(lengths[symbol])
      if length == 0 { continue }
      codes[symbol] = DeflateHuffmanCode.reversed(next[length], bits: length)
      next[length] += 1
    }
  }

  /// Returns the lowest `bits` bits of `value` in the reverse order.
  static func reversed(_ value: UInt32, bits: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: UInt32(truncatingIfNeeded: value << (32 - UInt32(bits))).bitReversed)
  }
}

extension UInt32 {
  fileprivate var bitReversed: UInt32 {
    var value = self
    value = (value >> 1) & 0x5555_5555 | (value & 0x5555_5555) << 1
    value = (value >> 2) & 0x3333_3333 | (value & 0x3333_3333) << 2
    value = (value >> 4) & 0x0f0f_0f0f | (value & 0x0f0f_0f0f) << 4
    return value.byteSwapped
  }
}
