"""The layers of GpuBenchmark in PyTorch, with torch._grouped_mm: bf16, silu, renormalized softmax weights.

    python3 torch_peer.py olmoe:4096 mixtral:32768

prints, for each layer and number of tokens, medians by events on the GPU, as CSV: shape,tokens,products_ms,layer_ms,compiled_ms.
Products are both grouped products and the activation between them, over rows that are permuted already; the layer is router,
top-k, permutation, products and weighted sum, of tokens that are on the GPU, eager and through torch.compile.
"""

import sys

import torch

SHAPES = {  # hidden, intermediate, experts, top-k
    "olmoe": (2048, 1024, 64, 8),
    "qwen3-30b-a3b": (2048, 768, 128, 8),
    "mixtral": (4096, 14336, 8, 2),
    "gpt-oss-20b": (2880, 2880, 32, 4),
    "deepseek-v3-64": (7168, 2048, 64, 8),
}
REPEATS = 20


def median_ms(function):
    for _ in range(3):
        function()
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return sorted(times)[REPEATS // 2]


def measure(name, tokens):
    hidden, inner, experts, k = SHAPES[name]
    generator = torch.Generator(device="cuda").manual_seed(1)

    def random(*size, scale):
        values = [torch.randn(*size[1:], generator=generator, device="cuda") for _ in range(size[0])]
        return torch.stack([(v / scale).bfloat16() for v in values])

    w13 = random(experts, 2 * inner, hidden, scale=hidden**0.5).transpose(1, 2)
    w2 = random(experts, hidden, inner, scale=inner**0.5).transpose(1, 2)
    gate = random(1, experts, hidden, scale=hidden**0.5)[0]
    x = random(1, tokens, hidden, scale=1)[0]

    def route():
        weights, ids = torch.topk(torch.softmax((x @ gate.t()).float(), -1), k, -1)
        return weights / weights.sum(-1, keepdim=True), ids

    def permute(ids):
        # not bincount: it waits for the GPU, and torch.compile cannot see through it
        of_row, order = ids.flatten().sort(stable=True)
        offsets = torch.searchsorted(of_row, torch.arange(experts, device="cuda"), right=True).to(torch.int32)
        return order, offsets, x.index_select(0, order // k)

    def products(rows, offsets):
        h = torch._grouped_mm(rows, w13, offs=offsets)
        h = torch.nn.functional.silu(h[:, :inner]) * h[:, inner:]
        return torch._grouped_mm(h, w2, offs=offsets)

    def layer():
        weights, ids = route()
        order, offsets, rows = permute(ids)
        y = products(rows, offsets)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(order.numel(), device="cuda")
        slots = y.index_select(0, inverse).view(tokens, k, hidden)
        return (slots * weights.unsqueeze(-1).to(y.dtype)).sum(1)

    with torch.inference_mode():
        _, offsets, rows = permute(route()[1])
        products_ms = median_ms(lambda: products(rows, offsets))
        layer_ms = median_ms(layer)
        compiled = torch.compile(layer, dynamic=False)
        off = (compiled() - layer()).float().norm() / layer().float().norm()
        if not off <= 1e-2:  # a NaN is wrong too
            raise SystemExit(f"{name}: compiled and eager differ by {off:.3g}")
        compiled_ms = median_ms(compiled)
    torch.compiler.reset()
    print(f"{name},{tokens},{products_ms:.4f},{layer_ms:.4f},{compiled_ms:.4f}", flush=True)


print(f"# torch {torch.__version__}, {torch.cuda.get_device_name()}", flush=True)
for case in sys.argv[1:]:
    shape, count = case.split(":")
    measure(shape, int(count))
