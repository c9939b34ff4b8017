"""Masks as SparseGPT and Wanda choose them, on every convolution, in the patterns that onnxsim does not offer.

SparseGPT: Frantar and Alistarh 2023, Algorithm 1. Columns are worked off in blocks of 128; a block's mask is chosen by
w^2 / d^2 with d the diagonal of the upper Cholesky factor of the inverse damped Gram matrix; each removed weight's
error goes to the columns on its right. The inputs are the original's, or, as in the paper, the pruned prefix's.
Wanda: Sun et al. 2023, |w| * ||x||, compared within an output channel, nothing updated. For a block of weights both
sum their own score (Wanda's squared) over the block; that is our reading, the papers have no blocks.

A layer's weight is [G, R, K]: groups, output channels of a group, inputs of one output channel. The inputs are in the
order kernel row, kernel column, input channel, so that neighbours along K are channels at one tap. A depthwise layer has
one channel: 1x4 and 2:4 ask nothing of it.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F

import rivals_common as common

BLOCK_COLUMNS = 128
DAMPING = 0.01
PATTERNS = ("unstructured", "2:4", "4x1", "1x4")
# A pooled ranking may take no more than this of a layer, or it would cut the network in two.
MOST_OF_A_LAYER = 0.98


class Layer:
    """A contraction's weight as [G, R, K], and the way back."""

    def __init__(self, node, w):
        self.node, self.shape = node, w.shape
        self.gemm = node.op_type == "Gemm"
        self.transposed = self.gemm and not common.attribute(node, "transB", 0)
        self.groups = 1 if self.gemm else common.attribute(node, "group", 1)
        if self.gemm:
            self.channels, flat = w.shape[0 if self.transposed else 1], w.T if self.transposed else w
        else:
            self.channels, flat = w.shape[1], w.transpose(0, 2, 3, 1).reshape(len(w), -1)
        self.w = torch.from_numpy(flat.astype(np.float64)).reshape(self.groups, -1, flat.shape[1])

    def back(self, w):
        flat = w.reshape(-1, w.shape[2]).numpy().astype(np.float32)
        if self.gemm:
            return flat.T if self.transposed else flat
        o, c, kh, kw = self.shape
        return flat.reshape(o, kh, kw, c).transpose(0, 3, 1, 2)

    def gram(self, x, chunk=64):
        """Sum over all samples and places of x x^T, as [G, K, K]. Products in f32, sums over chunks in f64."""
        if self.gemm:
            return (x.T.double() @ x.double())[None]
        k = self.w.shape[2]
        total = torch.zeros(self.groups, k, k, dtype=torch.float64)
        options = common.conv_options(self.node)
        options.pop("groups")
        for part in x.split(chunk):
            cols = F.unfold(part, self.shape[2:], **options)
            n, _, places = cols.shape
            cols = cols.reshape(n, self.groups, self.channels, -1, places).permute(1, 3, 2, 0, 4)
            cols = cols.reshape(self.groups, k, n * places)
            total += (cols @ cols.transpose(1, 2)).double()
        return total

    def column_groups(self):
        """Runs of at most four neighbours along K: input channels at one tap."""
        k, run = self.w.shape[2], self.channels
        starts = [s + i for s in range(0, k, run) for i in range(0, run, 4)]
        return [range(s, min(s + 4, s - s % run + run)) for s in starts]

    def block_ids(self, pattern, columns):
        """For the weights [G * R, columns] the number of the block that each belongs to."""
        g, r, _ = self.w.shape
        rows, width = g * r, len(columns)
        if pattern == "4x1":
            # Neighbouring outputs that read the same input; those of a depthwise layer share the tap.
            row = torch.arange(rows) // 4 if r == 1 else (torch.arange(r) // 4).repeat(g)
            row = row if r == 1 else row + torch.arange(g).repeat_interleave(r) * ((r + 3) // 4)
            return row[:, None] * width + torch.arange(width)[None]
        if pattern == "1x4":
            of = torch.cat([torch.full((len(c),), i) for i, c in enumerate(self.column_groups())])[columns]
            of = torch.unique_consecutive(of, return_inverse=True)[1]
            return torch.arange(rows)[:, None] * (int(of.max()) + 1) + of[None]
        return torch.arange(rows * width).reshape(rows, width)

    def lazy_blocks(self):
        """Column ranges of at least 128, cut between runs of four."""
        found, start = [], 0
        for c in self.column_groups():
            if c.stop - start >= BLOCK_COLUMNS or c.stop == self.w.shape[2]:
                found.append(range(start, c.stop))
                start = c.stop
        return found


def two_of_four(score, layer, columns):
    """The mask (True = removed) that leaves two of each four neighbours, of a shorter run half, rounded up."""
    removed = torch.zeros_like(score, dtype=torch.bool)
    for c in layer.column_groups():
        if c.start in columns:
            at = slice(c.start - columns.start, c.stop - columns.start)
            order = score[:, at].argsort(dim=1, stable=True)[:, : len(c) // 2]
            removed[:, at] = removed[:, at].scatter(1, order, True)
    return removed


def block_means(score, ids):
    """The mean score of each block, and its size."""
    sizes = torch.bincount(ids.flatten()).double()
    return torch.zeros_like(sizes).scatter_add(0, ids.flatten(), score.flatten().double()) / sizes, sizes


def removed_by(score, layer, pattern, share, columns, by_output=False):
    """The mask of the blocks with the lowest mean score, until at least `share` of the weights are removed.

    score: [G * R, len(columns)]. With `by_output` each row (each four rows for 4x1) is ranked alone.
    """
    first = two_of_four(score, layer, columns) if pattern == "2:4" else torch.zeros_like(score, dtype=torch.bool)
    ids = layer.block_ids(pattern, columns)
    score = score.masked_fill(first, -1.0)
    step = len(score) if not by_output else 4 if pattern == "4x1" else 1
    removed = []
    for rows in range(0, len(score), step):
        part, own = score[rows : rows + step], ids[rows : rows + step]
        own = own - own.min()
        mean, sizes = block_means(part, own)
        order = mean.argsort(stable=True)
        enough = int((sizes[order].cumsum(0) < share * part.numel() - 1e-9).sum()) + 1
        chosen = torch.zeros(len(mean), dtype=torch.bool)
        chosen[order[:enough] if share > 0 else []] = True
        removed.append(chosen[own])
    return torch.cat(removed) | first


def damped(gram):
    """The Gram matrices with 1 % of their mean diagonal added; inputs that are always zero get a one."""
    gram = gram.clone()
    diagonal = gram.diagonal(dim1=1, dim2=2)
    dead = diagonal == 0
    diagonal[dead] = 1
    diagonal += DAMPING * diagonal.mean(1, keepdim=True)
    return gram, dead


def sparsegpt(layer, gram, pattern, share):
    """The layer's weight after SparseGPT."""
    w = layer.w.clone()
    gram, dead = damped(gram)
    w.masked_fill_(dead[:, None], 0.0)
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(gram)), upper=True)
    diagonal = factor.diagonal(dim1=1, dim2=2)
    gone = []
    for columns in layer.lazy_blocks():
        at = slice(columns.start, columns.stop)
        score = (w[:, :, at] ** 2 / diagonal[:, None, at] ** 2).flatten(0, 1)
        removed = removed_by(score, layer, pattern, share, columns).reshape(w[:, :, at].shape)
        errors = torch.zeros_like(w[:, :, at])
        for j in columns:
            cut = removed[:, :, j - columns.start]
            error = torch.where(cut, w[:, :, j], 0.0) / diagonal[:, None, j]
            w[:, :, j : columns.stop] -= error[:, :, None] * factor[:, None, j, j : columns.stop]
            errors[:, :, j - columns.start] = error
        w[:, :, columns.stop :] -= errors @ factor[:, at, columns.stop :]
        gone.append(removed)
    # Weights of inputs that were always zero cost nothing to remove; those that are left keep their values.
    return torch.where(dead[:, None], layer.w, w).masked_fill(torch.cat(gone, 2), 0.0)


def wanda(layer, gram, pattern, share):
    score = (layer.w**2 * gram.diagonal(dim1=1, dim2=2)[:, None]).flatten(0, 1)
    return layer.w.masked_fill(whole(score, layer, pattern, share, True), 0.0)


def magnitude(layer, gram, pattern, share):
    return layer.w.masked_fill(whole((layer.w**2).flatten(0, 1), layer, pattern, share, False), 0.0)


def whole(score, layer, pattern, share, by_output):
    columns = range(layer.w.shape[2])
    return removed_by(score, layer, pattern, share, columns, by_output).reshape(layer.w.shape)


METHODS = {"sparsegpt": sparsegpt, "wanda": wanda, "magnitude": magnitude}


def uniform(model, share):
    return [share] * len(common.contractions(model))


def sparing(model, share, pattern):
    """Leaves thin layers whole: depthwise ones, and where the pattern lets them be, the first and the last.

    The others make up for it with an equal share.
    """
    sizes = np.array([w.size for _, w in common.contractions(model)])
    thin = [common.attribute(n, "group", 1) == len(w) for n, w in common.contractions(model)]
    if pattern != "2:4":
        thin[0] = thin[-1] = True
    rest = share * sizes.sum() / sizes[~np.array(thin)].sum()
    return [0.0 if t else float(rest) for t in thin]


def grams(model, x):
    """The Gram matrix and the summed variance of the output of every contraction of the original, in its order."""
    weights, found = dict(named_weights(model)), []

    def see(node, inputs, output):
        energy = (common.spread(output)[1] ** 2).sum() * (output.numel() / output.shape[1])
        found.append((Layer(node, weights[node.input[1]]).gram(inputs[0]), energy))

    common.walk(model, x, see)
    return found


def pooled(model, known, pattern):
    """Ranks the blocks of all layers together; returns a function from a share to each layer's own share.

    The score is the error at the layer's output that removing the weight causes when the others make up for it
    (w^2 over the diagonal of the inverse Gram matrix), relative to the variance of that output.
    """
    layers, scores, sizes = [], [], []
    for (node, w), (gram, energy) in zip(common.contractions(model), known, strict=True):
        layer, (gram, _) = Layer(node, w), damped(gram)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram)).diagonal(dim1=1, dim2=2)
        columns = range(layer.w.shape[2])
        score = (layer.w**2 / inverse[:, None] / energy).flatten(0, 1)
        if pattern == "2:4":
            score = score.masked_fill(two_of_four(score, layer, columns), -1.0)
        mean, size = block_means(score, layer.block_ids(pattern, columns))
        layers.append(torch.full_like(mean, len(layers), dtype=torch.long))
        scores.append(mean)
        sizes.append(size)
    layers, scores, sizes = torch.cat(layers), torch.cat(scores), torch.cat(sizes)
    order = scores.argsort(stable=True)
    layers, sizes = layers[order], sizes[order]
    totals = torch.zeros(int(layers.max()) + 1, dtype=torch.float64).scatter_add(0, layers, sizes)

    def split(share):
        want, n = share * totals.sum(), len(order)
        low, high = 0, n
        while low < high:  # the shortest prefix of the ranking that gives enough when each layer is capped
            middle = (low + high) // 2
            taken = torch.zeros_like(totals).scatter_add(0, layers[:middle], sizes[:middle])
            if torch.minimum(taken, MOST_OF_A_LAYER * totals).sum() >= want:
                high = middle
            else:
                low = middle + 1
        taken = torch.zeros_like(totals).scatter_add(0, layers[:low], sizes[:low])
        return (torch.minimum(taken, MOST_OF_A_LAYER * totals) / totals).tolist()

    return split


def named_weights(model):
    return [(n.input[1], w) for n, w in common.contractions(model)]


def masked(model, known, method, pattern, shares):
    """Masks every Conv and Gemm, each on the original's inputs."""
    model = copy.deepcopy(model)
    for (node, w), (gram, _), share in zip(common.contractions(model), known, shares, strict=True):
        layer = Layer(node, w)
        common.set_constant(model, node.input[1], layer.back(METHODS[method](layer, gram, pattern, share)))
    return model


def masked_in_order(model, x, pattern, shares, targets):
    """SparseGPT on every Conv and Gemm in topological order, on inputs from the masked prefix.

    Each convolution's statistics are brought back to `targets` before the next layer.
    """
    model = copy.deepcopy(model)
    weights, at, goals = dict(named_weights(model)), iter(shares), iter(targets)

    def cut(node, inputs, output):
        layer = Layer(node, weights[node.input[1]])
        w = layer.back(sparsegpt(layer, layer.gram(inputs[0]), pattern, next(at)))
        common.set_constant(model, node.input[1], w)
        output = common.evaluate(node, [inputs[0], torch.from_numpy(np.ascontiguousarray(w)), *inputs[2:]])[0]
        target = next(goals)
        return common.rescale(model, node, output, target) if node.op_type == "Conv" else output

    common.walk(model, x, cut)
    return model


def broken(model, pattern):
    """How many blocks of a masked model's layers break the pattern."""
    count = 0
    for node, w in common.contractions(model):
        layer = Layer(node, w)
        zero = (layer.w == 0).flatten(0, 1)
        if pattern == "2:4":
            for c in layer.column_groups():
                count += int((zero[:, c.start : c.stop].sum(1) < len(c) // 2).sum())
        else:
            mean, _ = block_means(zero, layer.block_ids(pattern, range(layer.w.shape[2])))
            count += int(((mean > 0) & (mean < 1)).sum())
    return count
