from .alignment import align as align
from .checking import Faithfulness as Faithfulness, faithfulness as faithfulness
from .defaults import default_clip as default_clip, default_loss as default_loss, is_toy as is_toy
from .prompts import attack as attack, improve as improve
