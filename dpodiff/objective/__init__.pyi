from .cost import Budget as Budget, Cost as Cost
from .diagnosis import Diagnosis as Diagnosis
from .evaluation import Evaluation as Evaluation, Task as Task
from .images import Job as Job
from .missed import Missed as Missed
from .objective import Objective as Objective
